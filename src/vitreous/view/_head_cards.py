"""A card for each head: where it looks on average, and the names that it earns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from vitreous.view._attention import MOST_SCORES
from vitreous.view._attention_scores import must_be_among
from vitreous.view._frame import MARGIN, STACKED_BELOW, lines, wrapped
from vitreous.view._packing import Array, as_numpy, fitted
from vitreous.view._picture import Picture
from vitreous.view._viewer import Viewer

_CONTROLS = (330, 190, 240)
_NARROWEST_CARD, _WIDEST_CARD, _GAP = 84, 136, 12
_WIDEST_SIDE, _WIDEST_ALONE = 352, 416
_SIDE_OF_BLANK = 320


@dataclass(frozen=True)
class HeadMap:
    """A map of each head.

    Attributes:
        name: What it shows.
        values: `[layers, heads, rows, columns]`; NaN where there is nothing.
        of: Whether rows and columns are those of patches, or how far a key lies below and to the
            right of a query (the middle is the query itself).
    """

    name: str
    values: Float[Array, "layers heads rows columns"]
    of: Literal["patches", "offsets"] = "patches"


@dataclass(frozen=True)
class HeadCards(Viewer):
    """All heads of a model as cards, layer by layer; one of them large, with its values.

    Attributes:
        maps: What to choose from, the same heads in each.
        names: By (layer, head) the names that it has earned, the best first.
        heads: (layer, head) of those that the page holds; all by default.
        unit: What values are counted in.

    Raises:
        ValueError: No maps, maps of different heads, a head that isn't there, or more values than a
            page can hold.
    """

    tag: ClassVar[str] = "vt-head-cards"
    maps: Sequence[HeadMap]
    names: Mapping[tuple[int, int], Sequence[str]]
    heads: Sequence[tuple[int, int]] | None = None
    unit: str = "attention, mean over images"

    def __post_init__(self) -> None:
        sizes = {tuple(each.values.shape[:2]) for each in self.maps}
        if len(sizes) != 1:
            raise ValueError(
                f"`maps` must hold maps of the same layers and heads; got {sorted(sizes)}. "
                "Pass `[layers, heads, rows, columns]` of one model."
            )
        must_be_among(self._size, [*(self.heads or ()), *self.names])
        per_head = sum(int(np.prod(each.values.shape[2:])) for each in self.maps)
        most = MOST_SCORES // per_head
        if not 0 < len(self._places) <= most:
            raise ValueError(
                f"A page must hold 1 to {most} heads with maps of {per_head} cells; got "
                f"{len(self._places)}. Choose some: `heads=[(layer, head), ...]`."
            )

    def payload(self) -> Mapping[str, Any]:
        packed = [self._packed(each) for each in self.maps]
        return {
            "heads": [list(place) for place in self._places],
            "earned": [list(self.names.get(place, ())) for place in self._places],
            "names": [each.name for each in self.maps],
            "kinds": [each.of for each in self.maps],
            "sizes": [list(each.values.shape[2:]) for each in self.maps],
            "blanks": [_blank(*each.values.shape[2:]) for each in self.maps],
            "maps": packed,
            "steps": [each.largest_step for each in packed],
            "unit": self.unit,
        }

    def height(self, width: float) -> float:
        stacked = width + 2 * MARGIN < STACKED_BELOW
        is_alone = len(self._places) == 1
        column = min(width, _WIDEST_ALONE if is_alone else _WIDEST_SIDE)
        cards = 0 if is_alone else self._cards_height(width if stacked else width - column - 40)
        told = 20 * max((len(names) for names in self.names.values()), default=1)
        side = 140 + told + max(_blank(*each.values.shape[2:]).height(column) for each in self.maps)
        controls = 24 + 64 * wrapped(_CONTROLS[: 1 if is_alone else 3], 28, width)
        return controls + (cards + 24 + side if stacked else max(cards, side))

    @property
    def _size(self) -> tuple[int, int]:
        n_layers, n_heads = self.maps[0].values.shape[:2]
        return n_layers, n_heads

    @property
    def _places(self) -> list[tuple[int, int]]:
        if self.heads is not None:
            return list(dict.fromkeys((layer, head) for layer, head in self.heads))
        return [(layer, head) for layer, head in np.ndindex(*self._size)]

    def _packed(self, one: HeadMap) -> Any:
        layers, heads = (list(each) for each in zip(*self._places, strict=True))
        values = as_numpy(one.values)[layers, heads].astype(np.float32)
        return fitted(
            np.where(np.isnan(values), -np.inf, values).reshape(len(layers), -1), masked=True
        )

    def _cards_height(self, width: float) -> float:
        rows, columns = self.maps[0].values.shape[2:]
        total = 0.0
        for layer in sorted({layer for layer, _ in self._places}):
            members = [place for place in self._places if place[0] == layer]
            even = (width + _GAP) / len(members) - _GAP
            least = min(max(even, _NARROWEST_CARD), _WIDEST_CARD)
            across = max(1, int((width + _GAP + 0.01) // (least + _GAP)))
            card = (width + _GAP) / across - _GAP
            total += 44
            for first in range(0, len(members), across):
                told = [self._names_height(each, card) for each in members[first : first + across]]
                total += card * rows / columns + 36 + max(told)
        return total

    def _names_height(self, place: tuple[int, int], width: float) -> float:
        return sum(15 * lines(name, width, 11) for name in self.names.get(place, ()))


def _blank(rows: int, columns: int) -> Picture:
    """What a map is painted on where there is no picture."""
    scale = max(1, _SIDE_OF_BLANK // max(rows, columns))
    return Picture.of(np.full((rows * scale, columns * scale, 3), 255, np.uint8))
