"""Numbers as bars and as a heat map. Values stay exact: both print what they are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from vitreous.view._frame import lines
from vitreous.view._packing import Array, as_numpy, exact
from vitreous.view._viewer import Viewer


@dataclass(frozen=True)
class Bars(Viewer):
    """One horizontal bar per value, with its label and its number.

    Attributes:
        labels: A name for each bar.
        values: The bars' lengths; negative ones grow to the left.
        kind: `signed` centers the bars at zero and colors them by sign; `probability` runs from 0
            to 1.
        groups: A group for each bar; bars of a group stand together under its name.
        total: A last row for the sum of the values, with this label.
        unit: What the values are counted in.
        caption: A line above the bars.
        intervals: `[bars, 2]`, the low and the high end of a whisker on each bar, such as the
            spread over images.
    """

    tag: ClassVar[str] = "vt-bars"
    labels: Sequence[str]
    values: Float[Array, " components"]
    kind: Literal["signed", "probability"] = "signed"
    groups: Sequence[str] | None = None
    total: str | None = None
    unit: str = ""
    caption: str = ""
    intervals: Float[Array, "components 2"] | None = None

    def __post_init__(self) -> None:
        names = [len(self.labels)] + ([] if self.groups is None else [len(self.groups)])
        if any(count != len(self.values) for count in names):
            raise ValueError(
                f"{len(self.values)} bars need as many labels and groups; got {names}. "
                "Pass one for each value."
            )
        if self.intervals is not None and self.intervals.shape != (len(self.values), 2):
            raise ValueError(
                f"{len(self.values)} bars need as many intervals of two ends; got shape "
                f"{tuple(self.intervals.shape)}. Pass `[bars, 2]`."
            )

    def payload(self) -> Mapping[str, Any]:
        return {
            "labels": list(self.labels),
            "values": exact(self.values),
            "kind": self.kind,
            "groups": None if self.groups is None else list(self.groups),
            "total": self.total,
            "unit": self.unit,
            "caption": self.caption,
            "intervals": None if self.intervals is None else exact(self.intervals),
        }

    def height(self, width: float) -> float:
        width = min(width, 640)
        room = min(0.45 * width - 70, 208)
        padding = 10 if self.kind == "probability" else 5
        least = 24 if self.intervals is None else 38
        rows = sum(max(19 * lines(label, room, 14) + padding, least) for label in self.labels)
        groups = 28 * len(dict.fromkeys(self.groups or ()))
        caption = 10 + 24 * lines(f"{self.caption} ({self.unit})", width, 15) if self.caption else 0
        return caption + rows + groups + (32 if self.total else 0)


@dataclass(frozen=True)
class HeatMap(Viewer):
    """Signed values in a table, on a diverging scale that is centered at zero.

    Attributes:
        values: `[rows, columns]`.
        rows: A name for each row; its number by default.
        columns: A name for each column; its number by default.
        row_axis: What the rows are, as a heading: "layer".
        column_axis: What the columns are: "head".
        unit: What the values are counted in.
        caption: A line above the table.
        totals: Whether the sums of rows and columns stand beside them, and the sum of all; for
            values that add up, such as shares.
        ends: What the two ends of the scale mean: (negative, positive).
    """

    tag: ClassVar[str] = "vt-heat-map"
    values: Float[Array, "rows columns"]
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    row_axis: str = "layer"
    column_axis: str = "head"
    unit: str = ""
    caption: str = ""
    ends: tuple[str, str] = ("", "")
    totals: bool = False

    def __post_init__(self) -> None:
        rows, columns = self._names
        if tuple(self.values.shape) != (len(rows), len(columns)):
            raise ValueError(
                f"A heat map of shape {tuple(self.values.shape)} needs as many names; got "
                f"{len(rows)} rows and {len(columns)} columns. Pass one name for each."
            )

    @property
    def _names(self) -> list[list[str]]:
        """Of the rows, and of the columns."""
        return [
            [str(i) for i in range(size)] if names is None else list(names)
            for names, size in zip((self.rows, self.columns), self.values.shape, strict=True)
        ]

    def payload(self) -> Mapping[str, Any]:
        rows, columns = self._names
        values = as_numpy(self.values).astype(np.float64)
        return {
            "values": exact(self.values),
            "rows": rows,
            "columns": columns,
            "rowAxis": self.row_axis,
            "columnAxis": self.column_axis,
            "unit": self.unit,
            "caption": self.caption,
            "ends": list(self.ends),
            "rowTotals": values.sum(axis=1).tolist() if self.totals else None,
            "columnTotals": values.sum(axis=0).tolist() if self.totals else None,
        }

    def height(self, width: float) -> float:
        caption = 10 + 24 * lines(self.caption, min(width, 640), 15) if self.caption else 0
        rows = len(self.values) + self.totals
        return caption + 33.6 * rows + 101 + (19 if self.unit else 0)
