"""Rows of texts and numbers, sorted by the column that a reader chooses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vitreous.view._frame import lines
from vitreous.view._viewer import Viewer

_PADDING = 16
_TEXT, _LAST = 112, 160  # the narrowest columns of texts, in pixels


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
        widths = self._column_widths(width)
        size = 13 if sum(widths) < width else 15  # where words break, rows fill up less
        told = [
            max(
                lines(each, room - _PADDING, size)
                for each, room in zip(self._written(row), widths, strict=True)
            )
            for row in self.rows
        ]
        return 46 + caption + sum(10 + 20.2 * each for each in told)

    def _column_widths(self, width: float) -> list[float]:
        """Between the least and the most that columns need, as browsers lay tables out."""
        written = [list(self.columns), *map(self._written, self.rows)]
        most = [6.5 * max(map(len, each)) + _PADDING for each in zip(*written, strict=True)]
        breaks = [i > 0 and self._kind(i) == "text" for i in range(len(most))]
        last = len(most) - 1
        least = [
            (_LAST if i == last else _TEXT) if breaks[i] else each for i, each in enumerate(most)
        ]
        most = [max(pair) for pair in zip(most, least, strict=True)]
        room = max(0.0, min(1.0, (width - sum(least)) / max(sum(most) - sum(least), 1)))
        return [low + room * (high - low) for low, high in zip(least, most, strict=True)]

    def _written(self, row: Sequence[str | float | None]) -> list[str]:
        return [cell if isinstance(cell, str) else "+0.000" for cell in row]
