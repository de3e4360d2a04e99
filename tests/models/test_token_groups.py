"""Groups of tokens, of which every token is in exactly one."""

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import PoolingConfig, TokenGroups


def test_kinds_are_those_that_a_model_has():
    layout = random_model(n_registers=2).layout
    groups = TokenGroups.of(layout, "kinds")
    assert groups.names == ("cls", "registers", "patches")
    assert groups.index(1).tolist() == [[0, 1, 1, 2, 2, 2, 2, 2, 2]]
    assert groups.unread == ("registers", "patches")


def test_a_mean_reads_patches_alone():
    layout = random_model(n_registers=1, pooling=PoolingConfig("mean")).layout
    assert TokenGroups.of(layout, "kinds").unread == ("cls", "registers")


def test_positions_are_one_group_each():
    layout = random_model().layout
    groups = TokenGroups.of(layout, "positions")
    assert groups.names == tuple(layout.names())
    assert groups.index(2).tolist() == [list(range(7))] * 2
    assert groups.unread == tuple(layout.names()[1:])


def test_one_group_of_all_tokens_makes_the_plain_graph():
    model = random_model()
    groups = TokenGroups.of(model.layout)
    assert groups.is_plain
    assert groups.graph(model).groups == ("all",)
    assert groups.graph(model).possible[0, -1, -1]


def test_edges_of_groups_that_nobody_reads_are_absent():
    model = random_model()
    graph = TokenGroups.of(model.layout, "kinds").graph(model)
    assert graph.groups == ("cls", "patches")
    assert graph.possible[:, 0, -1].tolist() == [True, False]


def test_named_sets_of_positions_are_groups():
    layout = random_model().layout
    groups = TokenGroups.of(layout, {"corner": (0, 0), "rest": [0, 2, 3, 4, 5, 6]})
    assert groups.index(1).tolist() == [[1, 0, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    "shape",
    [(2, 7), (2, 6), (2, 3, 2)],
    ids=["tokens", "patches", "grid"],
)
def test_foreground_differs_from_pair_to_pair(shape):
    layout = random_model().layout
    mask = torch.zeros(shape, dtype=torch.bool)
    mask.flatten(1)[0, -1] = mask.flatten(1)[1, -2] = True
    groups = TokenGroups.of_foreground(layout, mask)
    assert groups.names == ("cls", "foreground", "background")
    assert groups.index(2).tolist() == [[0, 2, 2, 2, 2, 2, 1], [0, 2, 2, 2, 2, 1, 2]]
    assert groups.at(slice(1, 2)).index(1).tolist() == [[0, 2, 2, 2, 2, 1, 2]]


def test_groups_pass_through_unchanged():
    layout = random_model().layout
    groups = TokenGroups.of(layout, "kinds")
    assert TokenGroups.of(layout, groups) is groups
