"""Where each head looks: a gallery of all heads, and one of them on the picture."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous._whole import written_whole
from vitreous.view._attention_scores import (
    Kind,
    Look,
    Scale,
    Way,
    bounds,
    extents,
    head_scores,
    log_partition,
    must_be_among,
    must_be_scores,
    must_be_self_attention,
)
from vitreous.view._film import write_gif, write_mp4
from vitreous.view._frame import MARGIN, STACKED_BELOW, lines, wrapped
from vitreous.view._packing import Array, exact, fitted
from vitreous.view._picture import Picture
from vitreous.view._still import Still, draw
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

MOST_SCORES = 16_000_000
"""What a page can hold: a byte each, 21 megabytes in base64."""

_WIDEST_PICTURE, _WIDEST_COLUMN, _HIGHEST_CHIPS = 480, 432, 176
_NOTE = "." * 110  # as long as what is said below the thumbnails
_CONTROLS = (145, 200, 225, 155)  # widths of the choices above the gallery
_GALLERY_CONTROLS = (340, 175)  # and of those above the thumbnails


@dataclass(frozen=True)
class AttentionGallery(Viewer):
    """Every head as a thumbnail; one of them on the picture and as a matrix; several side by side.

    Point at a patch to see where it looks, or who looks at it; point at a cell of the matrix to
    read one number. Scores of minus infinity are keys that a query must not see.

    Only the scores travel, once, with the logsumexp of each query's row in float32; the page
    computes `pattern = exp(score - logsumexp)`. Up to a megabyte the scores are float32. Beyond,
    each query's row has 4094 steps of its own between its smallest and its largest score, and 254
    beyond 6.5 million scores; a score is then off by half a step at most and a pattern value `p` by
    `p * step / 2`, and the page says how large the step is.

    Attributes:
        picture: The picture that the model saw.
        tokens: Which token lies where.
        scores: `[layers, heads, queries, keys]`, what the softmax over the keys is given.
        start: Layer and head that are shown first; the first that there is by default.
        heads: (layer, head) of those that the page holds; all by default. `capacity` says how many
            it can hold.
        names: By (layer, head), what a head is called: "corner head, 0.93".
    """

    tag: ClassVar[str] = "vt-attention-gallery"
    picture: Picture
    tokens: TokenMap
    scores: Float[Array, "layers heads queries keys"]
    start: tuple[int, int] | None = None
    heads: Sequence[tuple[int, int]] | None = None
    names: Mapping[tuple[int, int], str] | None = None

    def __post_init__(self) -> None:
        must_be_self_attention(self.scores.shape)
        self.tokens.must_fit(self.scores.shape[-1])
        named = [*(self.heads or ()), *self._start, *(self.names or ())]
        must_be_among(self.scores.shape[:2], named)
        places = self._places
        if any(place not in places for place in self._start):
            raise ValueError(
                f"`start` must be one of `heads`; got {self.start}. Add it to `heads`."
            )
        self._must_fit_a_page()
        for layer, head in places:
            must_be_scores(head_scores(self.scores, layer, head), layer, head)

    @staticmethod
    def capacity(n_tokens: int) -> int:
        """How many heads over this many tokens a page can hold: 412 for 197 tokens, 15 for 1025."""
        return MOST_SCORES // n_tokens**2

    def payload(self) -> Mapping[str, Any]:
        scores = np.stack([head_scores(self.scores, *place) for place in self._places])
        partition = np.stack([log_partition(head) for head in scores])
        packed = fitted(scores, masked=True)
        return {
            "picture": self.picture,
            "tokens": self.tokens.payload(),
            "size": list(self.scores.shape[:2]),
            "heads": [list(place) for place in self._places],
            "names": [(self.names or {}).get(place, "") for place in self._places],
            "scores": packed,
            "logPartition": exact(partition),
            "extents": exact(np.stack([*map(extents, scores, partition)])),
            "largestStep": packed.largest_step,
            "start": list((*self._start, self._places[0])[0]),
        }

    def save_png(
        self,
        path: str | os.PathLike[str],
        layer: int,
        head: int,
        token: int,
        *,
        kind: Kind = "pattern",
        way: Way = "from",
        scale: Scale = "token",
        width: int = 480,
    ) -> Path:
        """Writes the picture with one token's attention on it, as the page shows it.

        Args:
            path: Where to.
            layer: Of the head.
            head: In its layer.
            token: Index of the token that looks, or that is looked at.
            kind: `pattern`, the softmax of the scores, or the scores themselves.
            way: `from`: what `token` attends to. `to`: who attends to `token`.
            scale: What the color scale spans, patterns always from zero: the values shown
                (`token`), all values of this head (`head`), or of all heads on the page (`all`).
            width: Of the picture, in pixels.
        """
        (still,) = self._stills(layer, head, [token], Look(kind, way, scale))
        image = draw(still, width)
        with written_whole(path := Path(path)) as beside:
            image.save(beside, "PNG", optimize=True)
        return path

    def save_gif(
        self,
        path: str | os.PathLike[str],
        layer: int,
        head: int,
        *,
        tokens: Sequence[int] | None = None,
        kind: Kind = "pattern",
        way: Way = "from",
        scale: Scale = "head",
        width: int = 360,
        frames_per_second: float = 10,
    ) -> Path:
        """Writes a moving picture of a head: one frame for each token that looks.

        A frame has 256 colors of its own; `save_mp4` makes smaller files and smoother shades.

        Args:
            path: Where to.
            layer: Of the head.
            head: In its layer.
            tokens: Indices of the tokens to go through; all patches, row by row, by default.
            kind: As in `save_png`.
            way: As in `save_png`.
            scale: As in `save_png`; with `token`, colors of two frames don't compare.
            width: Of the picture, in pixels.
            frames_per_second: At most 50.
        """
        stills = self._stills(layer, head, tokens, Look(kind, way, scale))
        with written_whole(path := Path(path)) as beside:
            write_gif(beside, (draw(still, width) for still in stills), frames_per_second)
        return path

    def save_mp4(
        self,
        path: str | os.PathLike[str],
        layer: int,
        head: int,
        *,
        tokens: Sequence[int] | None = None,
        kind: Kind = "pattern",
        way: Way = "from",
        scale: Scale = "head",
        width: int = 480,
        frames_per_second: float = 10,
    ) -> Path:
        """Writes the same as `save_gif` as a video (H.264), with the arguments of `save_gif`.

        Raises:
            MissingDependencyError: PyAV isn't installed; extra `view` brings it.
        """
        stills = self._stills(layer, head, tokens, Look(kind, way, scale))
        with written_whole(path := Path(path)) as beside:
            write_mp4(beside, (draw(still, width) for still in stills), frames_per_second)
        return path

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = width if stacked else min(0.47 * width, _WIDEST_COLUMN)
        side = self._side_height(column)
        gallery = self._gallery_height(width if stacked else width - column - 32)
        controls = 24 + 64 * wrapped(_CONTROLS, 28, width) + (29 if width < max(_CONTROLS) else 0)
        return controls + (gallery + 24 + side if stacked else max(gallery, side))

    @property
    def _places(self) -> list[tuple[int, int]]:
        if self.heads is not None:
            return list(dict.fromkeys((layer, head) for layer, head in self.heads))
        return [tuple(place) for place in np.ndindex(*self.scores.shape[:2])]

    @property
    def _start(self) -> list[tuple[int, int]]:
        return [] if self.start is None else [self.start]

    def _must_fit_a_page(self) -> None:
        n_tokens, n_heads = self.scores.shape[-1], len(self._places)
        most = self.capacity(n_tokens)
        if not 0 < n_heads <= most:
            raise ValueError(
                f"A page must hold 1 to {most} heads over {n_tokens} tokens "
                f"({MOST_SCORES:,} scores at most); got {n_heads}. "
                "Choose some: `heads=[(layer, head), ...]`."
            )

    def _stills(
        self,
        layer: int,
        head: int,
        tokens: Sequence[int] | None,
        look: Look,
    ) -> Iterator[Still]:
        chosen = [each for row in self.tokens.grid for each in row] if tokens is None else tokens
        must_be_among((self.scores.shape[-1],), [(token,) for token in chosen])
        if not len(chosen):
            raise ValueError("`tokens` must name a token; got none. Leave it out for all patches.")
        must_be_among(self.scores.shape[:2], [(layer, head)])
        span = look.span(self.scores, (layer, head), self._places)
        lines = look.lines(self.scores, (layer, head), chosen)
        title = f"Layer {layer}, head {head}"
        for token, line in zip(chosen, lines, strict=True):
            low, high = span or bounds(line, look.kind)
            yield Still(self.picture, self.tokens, line, low, high, token, title, look.words)

    def _side_height(self, width: float) -> float:
        chips = [100.0] * len(self.tokens.special)
        chip_rows = wrapped(chips, 6, width) if chips else 0
        earned = 30 if self.names else 0
        picture = self.picture.height(min(width, _WIDEST_PICTURE))
        return 90 + earned + min(40 * chip_rows, 176) + picture + 170

    def _gallery_height(self, width: float) -> float:
        n_layers, n_heads, *_ = self.scores.shape
        rows, columns = len(self.tokens.grid), len(self.tokens.grid[0])
        thumbnail = min(max((width - 60) / n_heads, 24), 128)
        thumbnails = n_layers * max(4 + thumbnail * rows / columns, 24)
        controls = 64 * wrapped(_GALLERY_CONTROLS, 28, width)
        matrix = min(width, _WIDEST_PICTURE) + 80
        return max(controls + 66 + 20 * lines(_NOTE, width, 13) + thumbnails, matrix)
