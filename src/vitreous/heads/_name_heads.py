"""Names that heads earn: `L0H1: corner head, 0.93`."""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray

from vitreous._errors import unknown
from vitreous.heads._table import HEAD_SCORES


@dataclass(frozen=True)
class HeadName:
    """A name that a head has earned.

    Attributes:
        layer: The head's block.
        head: Its number there.
        score: Which score it was earned by.
        value: The score's mean over images.
        spread: Its standard deviation over images; NaN where there is none.
        best: What the score found best, such as `1 up, 2 right`; empty where it tries nothing.
    """

    layer: int
    head: int
    score: str
    value: float
    spread: float
    best: str = ""

    def __str__(self) -> str:
        which = f" ({self.best})" if self.best else ""
        return f"L{self.layer}H{self.head}: {self.title}{which}, {self.value:.2f}"

    @property
    def title(self) -> str:
        return HEAD_SCORES[self.score].title or self.score


def name_heads(
    scores: xarray.Dataset, thresholds: Mapping[str, float] | None = None
) -> list[HeadName]:
    """The names that heads earn by their scores; a head may have several, or none.

    A name is earned from a mean on that the score's `threshold` in `HEAD_SCORES` tells: 0.5,
    halfway between uniform attention and a perfect head, but 0.95 for `"uniform"` and 0.8 for
    `"content"`, which are high for many a head. Thresholds are a convention: where a number
    matters, quote it with its spread. Names describe attention, and not what a head does with what
    it reads. A foreground head may just look at the middle, where objects are: compare its score
    with that on the masks of other images.

    Args:
        scores: From `score_heads`, of patterns or of scores.
        thresholds: Others, by name of a score.

    Returns:
        By layer and head, the highest value first. Printed, `L0H1: corner head, 0.93`.

    Raises:
        UnknownNameError: A threshold of a score that there isn't, or that names no head.
    """
    needed = {name: row.threshold for name, row in HEAD_SCORES.items() if row.title is not None}
    for name in thresholds or ():
        if name not in needed:
            raise unknown("head score with a title", name, needed, "`HEAD_SCORES` lists them all.")
    needed |= dict(thresholds or {})
    earned = [
        HeadName(
            layer=int(scores["layer"][i]),
            head=int(scores["head"][j]),
            score=name,
            value=float(found["mean"][i, j]),
            spread=float(found["spread"][i, j]),
            best=str(found["best"].values[i, j]),
        )
        for name, found in ((str(n), scores.sel(score=n)) for n in scores["score"].values)
        if name in needed
        for i, j in zip(*(found["mean"].values >= needed[name]).nonzero(), strict=True)
    ]
    return sorted(earned, key=lambda each: (each.layer, each.head, -each.value))
