"""All scores, and what they mean, in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vitreous.heads import _scores as of
from vitreous.heads._scores import Values
from vitreous.heads._seen import Seen, Setting

Need = Literal["class token", "registers", "patches elsewhere", "copies", "masks", "two images"]


@dataclass(frozen=True)
class HeadScore:
    """One score.

    Attributes:
        name: What it is called in results.
        title: The name that a head with a high score earns; None for a measure that names none.
        definition: What it measures, in a line.
        range: The lowest and highest value that there can be, of patterns.
        uniform: What a head that attends to all keys alike has: chance; None where that depends on
            the grid.
        threshold: From which mean on a head earns the title.
        needs: What must be there; the score is NaN where it isn't.
        measure: Measures a layer in a batch of images; None where images are compared.
        candidates: Names of what the score tries, of which the best is reported.
        of_scores: Whether it is defined on attention scores, too.
    """

    name: str
    title: str | None
    definition: str
    range: tuple[float, float] = (-1.0, 1.0)
    uniform: float | None = 0.0
    threshold: float = 0.5
    needs: Need | None = None
    measure: Callable[[Seen], Values | None] | None = None
    candidates: Callable[[Setting], list[str]] | None = None
    of_scores: bool = True


_ROWS = (
    HeadScore(
        "cls", "class-token head", "mass on the class token",
        needs="class token", measure=of.cls,
    ),
    HeadScore(
        "registers", "register head", "mass on registers",
        needs="registers", measure=of.registers,
    ),
    HeadScore(
        "sink", "sink head", "mass on one fixed patch, by all other tokens",
        measure=of.sink, candidates=of.sinks,
    ),
    HeadScore("self", "self head", "mass of patches on themselves", measure=of.itself),
    HeadScore(
        "uniform", "uniform head", "entropy as a part of the highest",
        range=(0.0, 1.0), uniform=1.0, threshold=0.95, measure=of.uniform, of_scores=False,
    ),
    HeadScore(
        "offset", "offset head", "mass of patches on the patch at one fixed offset",
        measure=of.offset, candidates=of.offsets,
    ),
    HeadScore("row", "row head", "mass spread over the patch's own row", measure=of.row),
    HeadScore(
        "column", "column head", "mass spread over the patch's own column", measure=of.column
    ),
    HeadScore(
        "corner", "corner head", "mass on the corners of the grid",
        needs="patches elsewhere", measure=of.corner,
    ),
    HeadScore(
        "edges", "edges head", "mass on the border of the grid, corners left out",
        needs="patches elsewhere", measure=of.edges,
    ),
    HeadScore(
        "modulus", "modulus head", "mass spread over patches whole periods away",
        measure=of.modulus, candidates=of.periods,
    ),
    HeadScore(
        "local", "local head", "mass spread over the patches around the patch",
        measure=of.local, candidates=of.radii,
    ),
    HeadScore(
        "distance", None, "mean distance of patches attended to, in patches",
        range=(0.0, float("inf")), uniform=None, measure=of.distance, of_scores=False,
    ),
    HeadScore(
        "content", "content head", "how little the patterns of two images have in common",
        range=(0.0, 1.0), threshold=0.8, needs="two images",
    ),
    HeadScore(
        "duplicate", "duplicate-patch head", "mass of patches on others that show the same",
        needs="copies", measure=of.duplicate,
    ),
    HeadScore(
        "induction", "induction head", "mass on the patch behind an earlier copy",
        needs="copies", measure=of.induction, candidates=of.copied,
    ),
    HeadScore(
        "foreground", "foreground head", "mass on objects", needs="masks", measure=of.foreground
    ),
    HeadScore(
        "text", "text head", "mass on painted words", needs="masks", measure=of.text
    ),
)  # fmt: skip

HEAD_SCORES: dict[str, HeadScore] = {row.name: row for row in _ROWS}
"""What `score_heads` measures, by name."""
