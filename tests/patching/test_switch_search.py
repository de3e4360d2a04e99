"""The search for a small set, on rules that are known."""

import itertools
import random

import pytest

from vitreous.patching._switch_search import search


def run(rule, n_candidates, *, max_size=32, enumerate_up_to=0):
    """Carries a search out on a rule `members -> progress`."""
    searching = search(n_candidates, max_size=max_size, enumerate_up_to=enumerate_up_to)
    asked = next(searching)
    while True:
        try:
            asked = searching.send([rule(members) for members in asked])
        except StopIteration as end:
            return end.value


def smallest(rule, n_candidates):
    """The definition: the size of the smallest set that does it; None where none does."""
    for size in range(1, n_candidates + 1):
        sets = itertools.combinations(range(n_candidates), size)
        if any(rule(frozenset(members)) > 0 for members in sets):
            return size
    return None


def random_rule(seed):
    """Additive, with interactions of pairs."""
    draw = random.Random(seed)
    own = [draw.gauss(0.3, 1) for _ in range(7)]
    both = {two: draw.gauss(0, 1) for two in itertools.combinations(range(7), 2)}

    def rule(members):
        pairs = itertools.combinations(sorted(members), 2)
        return sum(own[i] for i in members) + sum(both[two] for two in pairs) - 2.5

    return rule


@pytest.mark.parametrize("seed", range(40))
def test_no_member_of_what_is_found_can_be_dropped(seed):
    rule = random_rule(seed)
    found = run(rule, 7)
    if found.members:
        assert rule(found.members) == found.progress > 0
        assert all(rule(found.members - {one}) <= 0 for one in found.members)
        assert not found.is_smallest or len(found.members) == 1


@pytest.mark.parametrize("seed", range(40))
def test_what_is_called_smallest_is_smallest(seed):
    rule = random_rule(seed)
    found = run(rule, 7, enumerate_up_to=10**6)
    if found.members:
        assert found.is_smallest
        assert len(found.members) == smallest(rule, 7)


def test_greed_is_mended_by_exchange():
    # 0 helps most alone, but 1 and 2 do it together, and 0 needs three others.
    worth = {0: 1.0, 1: 0.9, 2: 0.9, 3: 0.1, 4: 0.1}

    def rule(members):
        together = 5.0 * ({1, 2} <= members)
        return sum(worth[i] for i in members) + together - 1.85 - 0.1 * (0 in members)

    found = run(rule, 5)
    assert found.members == {1, 2}
    assert not found.is_smallest


def test_nothing_is_found_where_nothing_does_it():
    found = run(lambda members: -1.0 / (1 + len(members)), 4)
    assert (found.members, found.is_smallest, found.progress) == (frozenset(), False, -0.2)


def test_no_more_members_are_added_than_asked():
    assert run(lambda members: len(members) - 3.5, 6, max_size=3).members == frozenset()
    assert len(run(lambda members: len(members) - 3.5, 6, max_size=4).members) == 4


def test_runs_are_counted():
    assert run(lambda members: 1.0, 5).runs == 5
