"""What groups of tokens say of sets that divide nothing."""

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import TokenGroups


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"a": [0, 1]}, r"Every token must be in one group; got 'r0c1' in 0"),
        ({"a": "all", "b": [0]}, r"Every token must be in one group; got 'cls' in 2"),
        ("heads", r"`groups` must be None, 'kinds', 'positions', .*; got 'heads'"),
    ],
)
def test_groups_must_divide_the_tokens(groups, says):
    with pytest.raises(ValueError, match=says):
        TokenGroups.of(random_model().layout, groups)


def test_groups_of_other_tokens_are_refused():
    groups = TokenGroups.of(random_model(n_registers=1).layout, "kinds")
    with pytest.raises(ValueError, match=r"must cover the 7 tokens of this run; got groups of 8"):
        TokenGroups.of(random_model().layout, groups)


def test_foreground_must_be_a_mask():
    with pytest.raises(ValueError, match=r"must be a bool mask of 7 tokens or 6 patches per pair"):
        TokenGroups.of_foreground(random_model().layout, torch.ones(2, 6))


def test_masks_must_be_as_many_as_pairs():
    groups = TokenGroups.of_foreground(random_model().layout, torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"one mask per pair; got 2 for 3 pairs"):
        groups.require_pairs(3)
