"""Where each head looks: a gallery of all heads, and one of them on the picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._frame import MARGIN, STACKED_BELOW, lines, wrapped
from vitreous.view._packing import Array, as_numpy, exact, fitted
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

_WIDEST_PICTURE, _WIDEST_COLUMN = 480, 432
_NOTE = "." * 110  # as long as what is said below the thumbnails
_CONTROLS = (145, 200, 350, 185)  # widths of the choices above the gallery


@dataclass(frozen=True)
class AttentionGallery(Viewer):
    """Every head as a thumbnail; choose one, and point at a patch to see where it looks from there.

    Only the scores travel, with the logsumexp of each query's row in float32; the page computes
    `pattern = exp(score - logsumexp)`. Up to a megabyte the scores are float32. Beyond, each
    query's row has 4095 steps of its own between its smallest and its largest score; a score is
    then off by half a step at most and a pattern value `p` by `p * step / 2`, and the page says how
    large the step is.

    Attributes:
        picture: The picture that the model saw.
        tokens: Which token lies where.
        scores: `[layers, heads, queries, keys]`, what the softmax over the keys is given.
        start: Layer and head that are shown first.
    """

    tag: ClassVar[str] = "vt-attention-gallery"
    picture: Picture
    tokens: TokenMap
    scores: Float[Array, "layers heads queries keys"]
    start: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        *_, n_queries, n_keys = self.scores.shape
        self.tokens.must_fit(n_keys)
        if n_queries != n_keys:
            raise ValueError(
                f"Scores must have one row per token; got {n_queries} queries and {n_keys} keys. "
                "Pass the scores of whole self-attention."
            )

    def payload(self) -> Mapping[str, Any]:
        scores = as_numpy(self.scores).astype(np.float64)
        highest = scores.max(axis=-1, keepdims=True)
        log_partition = np.log(np.exp(scores - highest).sum(axis=-1)) + highest[..., 0]
        packed = fitted(scores)
        return {
            "picture": self.picture,
            "tokens": self.tokens.payload(),
            "scores": packed,
            "logPartition": exact(log_partition),
            "largestStep": packed.largest_step,
            "start": list(self.start),
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = width if stacked else min(0.47 * width, _WIDEST_COLUMN)
        side = self._side_height(column)
        thumbnails = self._thumbnails_height(width if stacked else width - column - 32)
        controls = 24 + 64 * wrapped(_CONTROLS, 28, width) + (29 if width < max(_CONTROLS) else 0)
        return controls + (thumbnails + 24 + side if stacked else max(thumbnails, side))

    def _side_height(self, width: float) -> float:
        chips = [100.0] * len(self.tokens.special)
        chip_rows = wrapped(chips, 6, width) if chips else 0
        return 51 + 40 * chip_rows + self.picture.height(min(width, _WIDEST_PICTURE)) + 170

    def _thumbnails_height(self, width: float) -> float:
        n_layers, n_heads, *_ = self.scores.shape
        rows, columns = len(self.tokens.grid), len(self.tokens.grid[0])
        thumbnail = min(max((width - 60) / n_heads, 24), 128)
        note = 20 * lines(_NOTE, width, 13)
        return 66 + note + n_layers * max(4 + thumbnail * rows / columns, 24)
