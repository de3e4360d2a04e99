"""The edges of a transformer: which there are, and what one does with a set of them."""

import itertools

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import Graph, layer_of, node_of


def writes_before(source, destination, *, parallel=False):
    """The definition, case by case."""
    if source == "input" or destination == "logits":
        return True
    wrote, reads = layer_of(source), layer_of(destination)
    if wrote != reads:
        return wrote < reads
    return not parallel and source.startswith("a") and destination.startswith("m")


@pytest.mark.parametrize("changes", [{}, {"d_mlp": None}, {"parallel": True}])
def test_edges_lead_from_what_is_written_to_what_reads_it_later(changes):
    graph = Graph.of(random_model(**changes))
    pairs = itertools.product(enumerate(graph.sources), enumerate(graph.destinations))
    for (row, source), (column, destination) in pairs:
        expected = writes_before(source, destination, parallel="parallel" in changes)
        assert bool(graph.possible[0, row, column]) == expected


def test_the_counts_are_those_of_a_vit_b():
    model = random_model()
    graph = Graph.of(model)
    assert len(graph.sources) == 1 + 3 * (4 + 1)
    assert len(graph.destinations) == 3 * (3 * 4 + 1) + 1


def test_slices_find_the_heads_of_a_block():
    shape = Graph.of(random_model()).shape
    assert shape.sources[shape.source_of(1)] == ("a1.h0", "a1.h1", "a1.h2", "a1.h3")
    assert shape.destinations[shape.destinations_of(2)][0] == "a2.h0<q>"
    assert shape.destinations[shape.destinations_of(2)][-1] == "a2.h3<v>"


def test_edges_that_nobody_reads_are_absent_in_groups():
    graph = Graph.of(random_model(), ["cls", "patches"], unread=["patches"])
    absent = graph.possible[0] & ~graph.possible[1]
    missing = {name for name, gone in zip(graph.destinations, absent.any(0), strict=True) if gone}
    assert missing == {*(f"a2.h{head}<q>" for head in range(4)), "m2", "logits"}


def test_the_best_edges_are_those_of_the_largest_scores():
    graph = Graph.of(random_model())
    scores = torch.randn(graph.possible.shape, generator=torch.Generator().manual_seed(0))
    best = graph.scored(scores).top(5)
    worth = sorted((abs(e.score) for e in graph.scored(scores).edges()), reverse=True)
    assert sorted((abs(e.score) for e in best.edges()), reverse=True) == worth[:5]
    assert graph.scored(scores).above(worth[4]).count == 5


def test_pruning_leaves_whole_paths_alone():
    graph = Graph.of(random_model())
    path = [("input", "a0.h1<v>"), ("a0.h1", "a1.h0<k>"), ("a1.h0", "logits")]
    loose = [("a0.h0", "m0"), ("m0", "m1"), ("input", "a1.h1<q>"), ("a1.h1", "m1")]
    pruned = graph.keeping([*path, *loose]).pruned()
    assert {(e.source, e.destination) for e in pruned.edges()} == set(path)


def test_nodes_have_names_without_letters():
    assert node_of("a3.h11<q>") == node_of("a3.h11") == "a3.h11"
    assert [layer_of(name) for name in ("input", "m2", "a3.h11<q>")] == [-1, 2, 3]
