"""The table that says whether a model is its source."""

import math
from dataclasses import dataclass, fields
from typing import Any

# What is allowed in float64, relative to the largest value.
_FLOAT64 = 1e-10


@dataclass(frozen=True)
class ParityRow:
    """How far a value of the model is from the source's, relative to the largest of the latter.

    Attributes:
        name: The hook point, `pre_logits` (what the head reads) or `output`.
        float64: Model and source both in float64.
        float32: The model in float32, the source in float64.
        source_float32: The source in float32, and itself in float64.
        allowed_float32: Twice the largest such error that the source has made so far, here or
            before: a single value may be right by luck.
    """

    name: str
    float64: float
    float32: float
    source_float32: float
    allowed_float32: float

    @property
    def holds(self) -> bool:
        return self.excess <= 1

    @property
    def excess(self) -> float:
        """The larger of both errors, in units of what is allowed; infinite for NaN."""
        in_float64 = _ratio(self.float64, self.allowed_float64)
        return max(in_float64, _ratio(self.float32, self.allowed_float32))

    @property
    def allowed_float64(self) -> float:
        return _FLOAT64

    @property
    def kind(self) -> str:
        """The name with a star for the layer."""
        return kind_of(self.name)

    @property
    def layer(self) -> str:
        return next((part for part in self.name.split(".") if part.isdecimal()), "")


def kind_of(name: str) -> str:
    """The name of a hook point with a star for the layer."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


@dataclass(frozen=True)
class ParityReport:
    """The table of `model.check(source=...)`; true when every value agrees.

    Attributes:
        rows: One per value that both show, in forward order.
        source: What it was compared with.
        on: What both were run on, such as "2 images".
        not_compared: Kinds of hook points that the source has no part for.
    """

    rows: tuple[ParityRow, ...]
    source: str
    on: str
    not_compared: tuple[str, ...]

    def __bool__(self) -> bool:
        return all(row.holds for row in self.rows)

    @property
    def first_difference(self) -> ParityRow | None:
        """Where, in forward order, the two begin to differ; None where they agree."""
        return next((row for row in self.rows if not row.holds), None)

    def worst(self) -> list[ParityRow]:
        """For each kind of value, the layer that is furthest from what is allowed."""
        kinds: dict[str, ParityRow] = {}
        for row in self.rows:
            if row.kind not in kinds or row.excess > kinds[row.kind].excess:
                kinds[row.kind] = row
        return list(kinds.values())

    def to_dict(self) -> dict[str, list[Any]]:
        """All rows as columns, as pandas, polars and JSON take them."""
        names = [*(field.name for field in fields(ParityRow)), "allowed_float64", "holds"]
        return {name: [getattr(row, name) for row in self.rows] for name in names}

    def __str__(self) -> str:
        worst = self.worst()
        width = max(len(row.kind) for row in worst)
        head = f"{'value, at its worst layer':<{width}}  layer   float64  allowed   "
        lines = [f"Equality with {self.source} on {self.on}", head + "float32  source's   allowed"]
        for row in worst:
            lines.append(
                f"{row.kind:<{width}}  {row.layer:>5}  {row.float64:8.1e}  "
                f"{row.allowed_float64:7.0e}  {row.float32:8.1e}  {row.source_float32:8.1e}  "
                f"{row.allowed_float32:8.1e}  {'agrees' if row.holds else 'DIFFERS'}"
            )
        return "\n".join([*lines, self._verdict()])

    __repr__ = __str__

    def _verdict(self) -> str:
        first = self.first_difference
        if first is not None:
            differing = sum(not row.holds for row in self.rows)
            return (
                f"{differing} of {len(self.rows)} values differ; the first in forward order is "
                f"{first.name}."
            )
        unseen = f" Not seen in the source: {', '.join(self.not_compared)}."
        return f"All {len(self.rows)} values agree." + (unseen if self.not_compared else "")


def _ratio(error: float, allowed: float) -> float:
    if math.isnan(error) or math.isnan(allowed):
        return math.inf
    return 0.0 if error == 0 else error / allowed if allowed else math.inf
