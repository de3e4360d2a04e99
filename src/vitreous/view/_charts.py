"""Numbers as bars and as a heat map. Values stay exact: both print what they are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float

from vitreous.view._packing import Array, exact


@dataclass(frozen=True)
class Bars:
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
    """

    tag: ClassVar[str] = "vt-bars"
    labels: Sequence[str]
    values: Float[Array, " components"]
    kind: Literal["signed", "probability"] = "signed"
    groups: Sequence[str] | None = None
    total: str | None = None
    unit: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        names = [len(self.labels)] + ([] if self.groups is None else [len(self.groups)])
        if any(count != len(self.values) for count in names):
            raise ValueError(
                f"{len(self.values)} bars need as many labels and groups; got {names}. "
                "Pass one for each value."
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
        }


@dataclass(frozen=True)
class HeatMap:
    """Signed values in a table, on a diverging scale that is centered at zero.

    Attributes:
        values: `[rows, columns]`.
        rows: A name for each row.
        columns: A name for each column.
        row_axis: What the rows are, as a heading: "layer".
        column_axis: What the columns are: "head".
        unit: What the values are counted in.
        caption: A line above the table.
        ends: What the two ends of the scale mean: (negative, positive).
    """

    tag: ClassVar[str] = "vt-heat-map"
    values: Float[Array, "rows columns"]
    rows: Sequence[str]
    columns: Sequence[str]
    row_axis: str = "layer"
    column_axis: str = "head"
    unit: str = ""
    caption: str = ""
    ends: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (len(self.rows), len(self.columns)):
            raise ValueError(
                f"A heat map of shape {tuple(self.values.shape)} needs as many names; got "
                f"{len(self.rows)} rows and {len(self.columns)} columns. Pass one name for each."
            )

    def payload(self) -> Mapping[str, Any]:
        return {
            "values": exact(self.values),
            "rows": list(self.rows),
            "columns": list(self.columns),
            "rowAxis": self.row_axis,
            "columnAxis": self.column_axis,
            "unit": self.unit,
            "caption": self.caption,
            "ends": list(self.ends),
        }
