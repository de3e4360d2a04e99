"""What a map of kinds, one for each patch, is worth: measured against exact masks."""

from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

BACKGROUND, MIXED = -1, -2
"""Owners of a patch that are no kind."""

Maps = Int[np.ndarray, "scenes patches"]


@dataclass(frozen=True)
class Truth:
    """Who owns each patch of some scenes: whoever covers more than half of it.

    Attributes:
        owners: A kind, the background (shadows included), or nobody: `MIXED`.
        main: The kind of each scene's main object.
    """

    owners: Maps
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
    """

    main: float
    distractors: float
    iou: float
    iou_background: float


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
    """

    main: Int[np.ndarray, "scenes 2"]
    distractors: Int[np.ndarray, "scenes 2"]
    called: Int[np.ndarray, "scenes kinds"]
    being: Int[np.ndarray, "scenes kinds"]
    both: Int[np.ndarray, "scenes kinds"]
    background: Int[np.ndarray, "scenes kinds"]

    def grades(self, times: Float[np.ndarray, " scenes"] | None = None) -> Grades:
        """The grades where each scene is there so many times, or once."""
        times = np.ones(len(self.main)) if times is None else times
        both = times @ self.both
        either = times @ (self.called + self.being) - both
        return Grades(
            _mean_ratio(*(times @ self.main)),
            _mean_ratio(*(times @ self.distractors)),
            _mean_ratio(both, either),
            _mean_ratio(both, either + times @ self.background),
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
    right = objects & (maps == truth.owners)
    return Counts(
        _right_of(right, is_main),
        _right_of(right, objects & ~is_main),
        _by_kind(maps, objects, n_kinds),
        _by_kind(truth.owners, objects, n_kinds),
        _by_kind(maps, right, n_kinds),
        _by_kind(maps, truth.owners == BACKGROUND, n_kinds),
    )


def chance(maps: Maps, truth: Truth, n_kinds: int, times: int = 20) -> Grades:
    """Mean grades of the same maps dealt out among the scenes anew."""
    deal = np.random.default_rng(0)
    dealt = [count(deal.permutation(maps), truth, n_kinds).grades() for _ in range(times)]
    return Grades(*np.mean([astuple(grades) for grades in dealt], axis=0).tolist())


def _right_of(right: Bool[np.ndarray, "scenes patches"], those: Bool[np.ndarray, "scenes patches"]):
    return np.stack([(right & those).sum(1), those.sum(1)], axis=1)


def _by_kind(
    kinds: Maps, counted: Bool[np.ndarray, "scenes patches"], n_kinds: int
) -> Int[np.ndarray, "scenes kinds"]:
    """How many of the counted patches of each scene have each kind."""
    scene, patch = counted.nonzero()
    places = scene * n_kinds + kinds[scene, patch]
    return np.bincount(places, minlength=len(kinds) * n_kinds).reshape(-1, n_kinds)


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> float:
    """Mean over kinds; one that isn't there and is never named has no ratio."""
    parts, wholes = np.atleast_1d(parts), np.atleast_1d(wholes)
    return float(np.mean(parts[wholes > 0] / wholes[wholes > 0]))
