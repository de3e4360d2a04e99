"""Several pictures in a row, each with a patch framed and values on its patches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vitreous.view._frame import MARGIN, STACKED_BELOW, lines
from vitreous.view._packing import Array, as_numpy, fitted
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

_NARROW, _WIDE, _GAP = 4, 8, 16


@dataclass(frozen=True)
class PatchStrip(Viewer):
    """Pictures side by side, such as those that a head responds to most.

    Attributes:
        pictures: One for each place in the row; the same picture may come again.
        tokens: Which token lies where; the same on all pictures.
        labels: A line for each picture.
        maps: `[pictures, tokens]`, values that are painted on the patches, not negative, all on one
            scale; None leaves the pictures as they are.
        marked: The token that is framed on each picture.
        unit: What the values are counted in.
        caption: A line above the pictures.

    Raises:
        ValueError: No pictures, or labels, maps or frames in another number.
    """

    tag: ClassVar[str] = "vt-patch-strip"
    pictures: Sequence[Picture]
    tokens: TokenMap
    labels: Sequence[str]
    maps: Float[Array, "images tokens"] | None = None
    marked: Sequence[int] | None = None
    unit: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        given = [each for each in (self.labels, self.maps, self.marked) if each is not None]
        counts = [len(each) for each in given]
        if not self.pictures or any(count != len(self.pictures) for count in counts):
            raise ValueError(
                f"A strip must have a picture, and a label, map and frame for each; got "
                f"{len(self.pictures)} pictures and {counts} of these. Pass one for each."
            )
        if self.maps is not None:
            self.tokens.must_fit(self.maps.shape[-1])

    def payload(self) -> Mapping[str, Any]:
        packed = None if self.maps is None else fitted(as_numpy(self.maps).astype(np.float32))
        return {
            "pictures": list(self.pictures),
            "tokens": self.tokens.payload(),
            "labels": list(self.labels),
            "maps": packed,
            "step": 0 if packed is None else packed.largest_step,
            "marked": None if self.marked is None else list(self.marked),
            "across": [min(most, len(self.pictures)) for most in (_NARROW, _WIDE)],
            "unit": self.unit,
            "caption": self.caption,
        }

    def height(self, width: float) -> float:
        return 38 + self._top_height(width) + self._strip_height(width) + 66 * self._has_maps

    def _strip_height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        across = min(_NARROW if stacked else _WIDE, len(self.pictures))
        column = (width + _GAP) / across - _GAP
        label = 20 * max(lines(each, column, 13) for each in self.labels)
        tallest = max(picture.height(column) for picture in self.pictures)
        rows = -(-len(self.pictures) // across)
        return rows * (tallest + label + 21)

    @property
    def _has_maps(self) -> bool:
        return self.maps is not None

    def _top_height(self, width: float) -> float:
        """Of the caption and of the choice beside it."""
        caption = 21 * lines(self.caption, width, 15) if self.caption else 0
        beside = 7.5 * len(self.caption) + 170 < width
        return max(caption, 52) + (0 if beside else caption) if self._has_maps else caption
