"""The search for a small set that does something, told one by one which sets do."""

import itertools
import math
from collections.abc import Generator
from typing import NamedTuple

Members = frozenset[int]
Search = Generator[list[Members], list[float], "Found"]


class Found(NamedTuple):
    """What a search ended with.

    Attributes:
        members: Of the set; empty where none was found.
        progress: Of that set, above zero where one was found; otherwise the best that was seen.
        is_smallest: Whether every smaller set was tried, and none does it.
        runs: How many sets were tried.
    """

    members: Members
    progress: float
    is_smallest: bool
    runs: int


def search(n_candidates: int, *, max_size: int, enumerate_up_to: int) -> Search:
    """Yields sets to try, is sent their progress, and returns the smallest that it found.

    Progress above zero means that the set does it. Greedily adds what helps most; drops members
    as long as the rest does it; exchanges two members for one; tries all smaller sets where they
    are few enough. What is returned is never larger than needed by one member: each single member
    is needed.

    Args:
        n_candidates: Members are `0..n_candidates - 1`.
        max_size: The most members to add.
        enumerate_up_to: The most sets to try in proving that none is smaller.
    """
    tried = _Tried()
    members, progress = yield from _greedy(n_candidates, max_size, tried)
    if progress <= 0:
        return Found(frozenset(), progress, False, tried.count)
    while True:
        members, progress = yield from _dropped(members, progress, tried)
        exchanged = yield from _best(_exchanges(members, n_candidates), tried)
        if exchanged is None or exchanged[1] <= 0:
            break
        members, progress = exchanged
    is_smallest = False
    if sum(math.comb(n_candidates, size) for size in range(1, len(members))) <= enumerate_up_to:
        is_smallest = True
        for size in range(1, len(members)):
            smaller = map(frozenset, itertools.combinations(range(n_candidates), size))
            best = yield from _best(list(smaller), tried)
            if best is not None and best[1] > 0:
                members, progress = best
                break
    return Found(members, progress, is_smallest, tried.count)


class _Tried:
    """Counts the sets that were run."""

    count = 0


def _best(
    sets: list[Members], tried: _Tried
) -> Generator[list[Members], list[float], tuple[Members, float] | None]:
    if not sets:
        return None
    tried.count += len(sets)
    progress = yield sets
    place = max(range(len(sets)), key=progress.__getitem__)
    return sets[place], progress[place]


def _greedy(
    n_candidates: int, max_size: int, tried: _Tried
) -> Generator[list[Members], list[float], tuple[Members, float]]:
    members, progress, best_seen = frozenset[int](), -math.inf, -math.inf
    while len(members) < min(max_size, n_candidates) and progress <= 0:
        wider = [members | {one} for one in range(n_candidates) if one not in members]
        best = yield from _best(wider, tried)
        assert best is not None
        members, progress = best
        best_seen = max(best_seen, progress)
    return members, progress if progress > 0 else best_seen


def _dropped(
    members: Members, progress: float, tried: _Tried
) -> Generator[list[Members], list[float], tuple[Members, float]]:
    """Without members that the rest can do without."""
    while len(members) > 1:
        best = yield from _best([members - {one} for one in sorted(members)], tried)
        if best is None or best[1] <= 0:
            break
        members, progress = best
    return members, progress


def _exchanges(members: Members, n_candidates: int) -> list[Members]:
    """Every set with one member that isn't there in place of two that are."""
    outside = [one for one in range(n_candidates) if one not in members]
    return [
        (members - set(two)) | {one}
        for two in itertools.combinations(sorted(members), 2)
        for one in outside
    ]
