"""What a map of kinds, one for each patch, is worth: measured against exact masks."""

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

BACKGROUND, MIXED = -1, -2
"""Owners of a patch that are no kind."""

Kinds = Int[np.ndarray, "scenes patches"]
Some = Bool[np.ndarray, "scenes patches"]


@dataclass(frozen=True)
class Maps:
    """What each patch of some scenes says.

    Attributes:
        kinds: The kind that it puts first.
        of_answer: The probability that it gives to what the model answers for its scene.
    """

    kinds: Kinds
    of_answer: Float[np.ndarray, "scenes patches"]

    def __getitem__(self, scenes: Int[np.ndarray, " scenes"]) -> Self:
        """The maps of some of the scenes."""
        return type(self)(self.kinds[scenes], self.of_answer[scenes])


@dataclass(frozen=True)
class Truth:
    """Who owns each patch of some scenes: whoever covers more than half of it.

    Attributes:
        owners: A kind, the background (shadows included), or nobody: `MIXED`.
        main: The kind of each scene's main object.
    """

    owners: Kinds
    main: Int[np.ndarray, " scenes"]


@dataclass(frozen=True)
class Grades:
    """What the maps of some scenes are worth. Patches that are `MIXED` count nowhere.

    Attributes:
        main: Of the patches of main objects, the part with the right kind.
        distractors: Of the patches of all other objects, the part with the right kind.
        iou: Mean over kinds of (patches that are the kind and are called so) / (patches that are
            the kind or are called so), both counted over all scenes, among patches of objects.
        iou_background: The same among patches of objects and of the background, where every name
            is wrong, for a map has no name for the background.
        figure: How often a patch of the main object gives more to the model's answer than a patch
            of the background of the same scene does: the area under the ROC curve, and 1/2 where
            nothing is told apart. The mean over scenes that have both.
    """

    main: float
    distractors: float
    iou: float
    iou_background: float
    figure: float


@dataclass(frozen=True)
class Counts:
    """What grades are made of, scene by scene.

    Attributes:
        main: Patches of the main object that are called right, and all of them.
        distractors: The same of the other objects.
        called: Patches of objects that are called each kind.
        being: Patches of objects that are each kind.
        both: Patches that are each kind and are called so.
        background: Patches of the background that are called each kind.
        figure: Area under the ROC curve; NaN where a scene has no patch of either sort.
    """

    main: Int[np.ndarray, "scenes 2"]
    distractors: Int[np.ndarray, "scenes 2"]
    called: Int[np.ndarray, "scenes kinds"]
    being: Int[np.ndarray, "scenes kinds"]
    both: Int[np.ndarray, "scenes kinds"]
    background: Int[np.ndarray, "scenes kinds"]
    figure: Float[np.ndarray, " scenes"]

    def grades(self, times: Float[np.ndarray, " scenes"] | None = None) -> Grades:
        """The grades where each scene is there so many times, or once."""
        times = np.ones(len(self.main)) if times is None else times
        both = times @ self.both
        either = times @ (self.called + self.being) - both
        has_both = ~np.isnan(self.figure)
        return Grades(
            _mean_ratio(*(times @ self.main)),
            _mean_ratio(*(times @ self.distractors)),
            _mean_ratio(both, either),
            _mean_ratio(both, either + times @ self.background),
            float(np.average(self.figure[has_both], weights=times[has_both])),
        )

    def interval(self, resamples: int = 400) -> tuple[Grades, Grades]:
        """Bounds of the middle 95 % of the grades over scenes drawn anew with replacement."""
        n, chance = len(self.main), np.random.default_rng(0)
        drawn = (np.bincount(chance.integers(n, size=n), minlength=n) for _ in range(resamples))
        grades = [astuple(self.grades(times)) for times in drawn]
        low, high = np.quantile(grades, (0.025, 0.975), axis=0)
        return Grades(*map(float, low)), Grades(*map(float, high))


def owners(
    coverage: Float[np.ndarray, "objects rows columns"], kinds: list[int]
) -> Int[np.ndarray, " patches"]:
    """The owner of each patch, from the share of it that every object covers."""
    background = 1 - coverage.sum(0, keepdims=True)
    shares = np.concatenate([coverage, background]).reshape(len(kinds) + 1, -1)
    largest = np.array([*kinds, BACKGROUND])[shares.argmax(0)]
    return np.where(shares.max(0) > 0.5, largest, MIXED)


def count(maps: Maps, truth: Truth, n_kinds: int) -> Counts:
    """Compares maps with the truth."""
    objects, is_main = truth.owners >= 0, truth.owners == truth.main[:, None]
    background = truth.owners == BACKGROUND
    right = objects & (maps.kinds == truth.owners)
    return Counts(
        _right_of(right, is_main),
        _right_of(right, objects & ~is_main),
        _by_kind(maps.kinds, objects, n_kinds),
        _by_kind(truth.owners, objects, n_kinds),
        _by_kind(maps.kinds, right, n_kinds),
        _by_kind(maps.kinds, background, n_kinds),
        _area(maps.of_answer, is_main, background),
    )


def chance(maps: Maps, truth: Truth, n_kinds: int, times: int = 20) -> Grades:
    """Mean grades of the same maps dealt out among the scenes anew."""
    deal = np.random.default_rng(0)
    orders = [deal.permutation(len(truth.main)) for _ in range(times)]
    dealt = [count(maps[order], truth, n_kinds).grades() for order in orders]
    return Grades(*np.mean([astuple(grades) for grades in dealt], axis=0).tolist())


def _right_of(right: Some, those: Some) -> Int[np.ndarray, "scenes 2"]:
    return np.stack([(right & those).sum(1), those.sum(1)], axis=1)


def _area(
    values: Float[np.ndarray, "scenes patches"], high: Some, low: Some
) -> Float[np.ndarray, " scenes"]:
    """The part of all pairs in which the one of `high` is larger; equal ones count half."""
    one, other = values[:, :, None], values[:, None, :]
    pairs = high[:, :, None] & low[:, None, :]
    wins = (pairs & (one > other)).sum((1, 2)) + (pairs & (one == other)).sum((1, 2)) / 2
    number = pairs.sum((1, 2))
    return np.divide(wins, number, out=np.full(len(values), np.nan), where=number > 0)


def _by_kind(kinds: Kinds, counted: Some, n_kinds: int) -> Int[np.ndarray, "scenes kinds"]:
    """How many of the counted patches of each scene have each kind."""
    scene, patch = counted.nonzero()
    places = scene * n_kinds + kinds[scene, patch]
    return np.bincount(places, minlength=len(kinds) * n_kinds).reshape(-1, n_kinds)


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> float:
    """Mean over kinds; one that isn't there and is never named has no ratio."""
    parts, wholes = np.atleast_1d(parts), np.atleast_1d(wholes)
    return float(np.mean(parts[wholes > 0] / wholes[wholes > 0]))
