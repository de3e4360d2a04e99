"""The same heads on several images: what stays the same belongs to the head."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._attention import MOST_SCORES
from vitreous.view._attention_scores import head_pattern, must_be_self_attention
from vitreous.view._frame import MARGIN, STACKED_BELOW, lines, wrapped
from vitreous.view._packing import Array, as_numpy, fitted
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

MEAN = "mean over queries"

_MOST_SHOWN = 400  # thumbnails at first; beyond, the matrix opens at one layer
_WIDEST_COLUMN, _WIDEST_CELL, _NARROWEST_CELL = 432, 96, 40
_CONTROLS = (300, 230, 110, 230)


@dataclass(frozen=True)
class HeadImageMatrix(Viewer):
    """A row per head, a column per image, and in each cell where that head looks on that image.

    Behind each row stands how alike its maps are: the correlation of two images' maps over the
    patches, averaged over all pairs of images. It is 1 for a head that looks at the same places
    whatever is there, such as a corner head, and near 0 for one that follows the content. Where a
    map is constant, or there is one image, it isn't defined, and a dash stands for it.

    Attributes:
        pictures: What the model saw, one per image.
        tokens: Which token lies where; the same on all images.
        maps: Patterns to choose from, by name: attention that each token gets, not negative.
        labels: A name for each image; its number by default.
    """

    tag: ClassVar[str] = "vt-head-image-matrix"
    pictures: Sequence[Picture]
    tokens: TokenMap
    maps: Mapping[str, Float[Array, "images layers heads tokens"]]
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _must_be_some(self.maps)
        shape = self._shape
        if any(tuple(each.shape) != shape for each in self.maps.values()) or len(shape) != 4:
            shapes = [tuple(each.shape) for each in self.maps.values()]
            raise ValueError(
                f"Maps must be [images, layers, heads, tokens], all of one shape; got {shapes}. "
                "`HeadImageMatrix.of` makes them from scores."
            )
        self.tokens.must_fit(shape[-1])
        counts = (len(self.pictures), len(self._labels))
        if counts != (shape[0], shape[0]):
            raise ValueError(
                f"Maps of {shape[0]} images need as many pictures and labels; got {counts[0]} and "
                f"{counts[1]}. Pass one for each."
            )
        size = len(self.maps) * int(np.prod(shape))
        if size > MOST_SCORES:
            raise ValueError(
                f"A page must hold at most {MOST_SCORES:,} values; got {size:,} in "
                f"{len(self.maps)} maps of shape {shape}. Pass fewer images, layers or maps."
            )

    @classmethod
    def of(
        cls,
        pictures: Sequence[Picture],
        tokens: TokenMap,
        scores: Iterable[Float[Array, "layers heads queries keys"]],
        *,
        queries: Sequence[int] | None = None,
        labels: Sequence[str] | None = None,
    ) -> "HeadImageMatrix":
        """Makes the maps from the scores of one image after the other, which may be a generator.

        Args:
            pictures: What the model saw, one per image.
            tokens: Which token lies where.
            scores: For each image, what the softmax over the keys is given. One image's are held
                at a time.
            queries: Tokens whose patterns are shown, beside the mean over all queries; by default
                those that are no patch.
            labels: A name for each image.
        """
        chosen = tokens.special if queries is None else tuple(queries)
        _must_be_tokens(chosen, len(tokens.names))
        reduced = [_reduced(each, chosen) for each in scores]
        if not reduced:
            raise ValueError("`scores` must hold an image's scores; got none. Pass one for each.")
        stacked = np.stack(reduced, axis=1)
        names = [MEAN, *(tokens.names[token] for token in chosen)]
        return cls(pictures, tokens, dict(zip(names, stacked, strict=True)), labels)

    def payload(self) -> Mapping[str, Any]:
        maps = [as_numpy(each).astype(np.float32) for each in self.maps.values()]
        packed = [fitted(each) for each in maps]
        return {
            "pictures": list(self.pictures),
            "labels": self._labels,
            "tokens": self.tokens.payload(),
            "names": list(self.maps),
            "maps": packed,
            "steps": [each.largest_step for each in packed],
            "alike": [_alike(each[..., self._patches]) for each in maps],
            "mostShown": _MOST_SHOWN,
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        column = width if stacked else min(0.47 * width, _WIDEST_COLUMN)
        table = self._table_height(width if stacked else width - column - 32)
        tallest = max(picture.height(column) for picture in self.pictures)
        side = 51 + tallest + 150
        controls = 24 + 64 * wrapped(_CONTROLS, 28, width)
        return controls + (table + 24 + side if stacked else max(table, side))

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(next(iter(self.maps.values())).shape)

    @property
    def _labels(self) -> list[str]:
        if self.labels is None:
            return [f"image {i}" for i in range(len(self.pictures))]
        return list(self.labels)

    @property
    def _patches(self) -> list[int]:
        return [token for row in self.tokens.grid for token in row]

    def _table_height(self, width: float) -> float:
        n_images, n_layers, n_heads, _ = self._shape
        shown = n_heads if n_images * n_layers * n_heads > _MOST_SHOWN else n_layers * n_heads
        cell = min(max((width - 110) / n_images, _NARROWEST_CELL), _WIDEST_CELL)
        rows, columns = len(self.tokens.grid), len(self.tokens.grid[0])
        labels = 18 * max(lines(label, cell - 4, 12) for label in self._labels)
        head = labels + max(picture.height(cell) for picture in self.pictures) + 12
        return head + shown * max(4 + (cell - 4) * rows / columns, 22) + 60


def _reduced(
    scores: Float[Array, "layers heads queries keys"], queries: Sequence[int]
) -> Float[np.ndarray, "_ layers heads keys"]:
    """The mean over queries, and the pattern of each of these queries."""
    must_be_self_attention(scores.shape)
    places = list(np.ndindex(*scores.shape[:2]))
    patterns = (head_pattern(scores, layer, head) for layer, head in places)
    rows = [np.stack([each.mean(axis=0), *each[list(queries)]]) for each in patterns]
    maps = np.stack(rows, axis=1).astype(np.float32)
    return maps.reshape(len(queries) + 1, *scores.shape[:2], -1)


def _alike(maps: Float[np.ndarray, "images layers heads patches"]) -> list[list[float | None]]:
    """For each head the mean correlation of two images' maps; None where it isn't defined."""
    centered = maps.astype(np.float64)
    centered -= centered.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centered, axis=-1)
    n = len(maps)
    known = (length > 1e-7 * np.abs(maps).max(axis=-1)).all(axis=0) & (n > 1)
    unit = centered / np.where(length > 0, length, 1)[..., None]
    total = (unit.sum(axis=0) ** 2).sum(axis=-1)  # the square of a sum holds each pair twice
    mean = (total - n) / max(n * (n - 1), 1)
    return [
        [float(value) if there else None for value, there in zip(*each, strict=True)]
        for each in zip(mean, known, strict=True)
    ]


def _must_be_some(maps: Mapping[str, Any]) -> None:
    if not maps:
        raise ValueError("`maps` must hold a map; got none. `HeadImageMatrix.of` makes them.")


def _must_be_tokens(tokens: Sequence[int], n_tokens: int) -> None:
    wrong = [token for token in tokens if not 0 <= token < n_tokens]
    if wrong:
        raise ValueError(
            f"`queries` must lie in 0..{n_tokens - 1}; got {wrong}. "
            "Pass indices of tokens, as in `tokens.names`."
        )
