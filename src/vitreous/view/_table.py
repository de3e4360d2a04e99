"""Rows of texts and numbers, sorted by the column that a reader chooses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vitreous.view._frame import lines
from vitreous.view._viewer import Viewer


@dataclass(frozen=True)
class Table(Viewer):
    """Rows of texts and signed numbers; the name of a column sorts by it.

    Attributes:
        columns: A name for each column.
        rows: A text, a number or nothing (None) for each.
        caption: A line above the table.
        decimals: Of numbers in columns that hold others than whole ones.

    Raises:
        ValueError: A row of another length, or a number that is NaN or infinite.
    """

    tag: ClassVar[str] = "vt-table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    caption: str = ""
    decimals: int = 3

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"A row must have {len(self.columns)} cells, one per column; got {len(row)}. "
                    "Pass None where there is nothing."
                )
            if any(isinstance(cell, float) and not math.isfinite(cell) for cell in row):
                raise ValueError(
                    f"Numbers in a table must be finite; got {list(row)}. Pass None where there "
                    "is nothing."
                )

    def payload(self) -> Mapping[str, Any]:
        return {
            "columns": list(self.columns),
            "kinds": [self._kind(column) for column in range(len(self.columns))],
            "rows": [list(row) for row in self.rows],
            "caption": self.caption,
            "decimals": self.decimals,
        }

    def _kind(self, column: int) -> str:
        """Of texts, of counts, or of signed numbers."""
        given = [row[column] for row in self.rows if row[column] is not None]
        if not given or any(isinstance(cell, str) for cell in given):
            return "text"
        return "count" if all(isinstance(cell, int) for cell in given) else "number"

    def height(self, width: float) -> float:
        caption = 10 + 24 * lines(self.caption, width, 15) if self.caption else 0
        texts = [max((len(c) if isinstance(c, str) else 8) for c in row) for row in self.rows]
        column = max(width / max(len(self.columns), 1), 90)
        return 40 + caption + sum(9 + 19 * lines("x" * size, 1.4 * column, 13) for size in texts)
