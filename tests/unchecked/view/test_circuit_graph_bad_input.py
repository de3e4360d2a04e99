"""What a picture of a circuit says of bad input: one line that tells how to mend it."""

import numpy as np
import pytest
import torch

from vitreous.models import Graph, GraphShape
from vitreous.view import CircuitEdge, CircuitGraph, CircuitNode

NODES = [CircuitNode("input", "input"), CircuitNode("logits", "output")]
EDGE = CircuitEdge("input", "logits", score=1.0)


def test_parts_have_different_names():
    with pytest.raises(ValueError, match=r"^Parts must have different names; got 'input' twice"):
        CircuitGraph([*NODES, NODES[0]], [])


def test_an_edge_joins_parts_that_are_there():
    with pytest.raises(ValueError, match=r"got 'a9\.h9', which isn't among its 2 nodes\. Add"):
        CircuitGraph(NODES, [EDGE, CircuitEdge("a9.h9", "logits")])


def test_scores_are_for_all_edges_or_none():
    with pytest.raises(ValueError, match=r"a score, or none; got 1 of 2 with one\. Leave out"):
        CircuitGraph(NODES, [EDGE, EDGE._replace(score=None)])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_score_is_a_number(wrong):
    with pytest.raises(ValueError, match=r"Scores of edges must be finite; got (nan|inf) of input"):
        CircuitGraph(NODES, [EDGE._replace(score=wrong)])


def test_a_port_is_a_known_letter():
    with pytest.raises(ValueError, match=r"`port` must be 'q', 'k', 'v' or ''; got 'Q' of 'input'"):
        CircuitGraph(NODES, [EDGE._replace(port="Q")])


def test_a_page_holds_so_many_edges():
    with pytest.raises(ValueError, match=r"at most 60000 edges; got 60001\. Pass those"):
        CircuitGraph(NODES, [EDGE] * 60_001)


def test_at_least_one_edge_is_shown():
    with pytest.raises(ValueError, match=r"`shown` must be 1 or more; got 0\. Leave it out"):
        CircuitGraph(NODES, [EDGE], shown=0)


def test_notes_are_of_parts_of_the_graph():
    shape = GraphShape(1, 1)
    graph = Graph(shape, shape.possible[None], shape.possible[None])
    with pytest.raises(ValueError, match=r"`notes` must name parts of this graph; got 'a3\.h0'"):
        CircuitGraph.of(graph, notes={"a3.h0": "?"})


def test_names_of_another_grammar_are_refused():
    class Other:
        sources, destinations, groups = ("x1",), ("logits",), ("all",)
        possible = included = torch.ones(1, 1, 1, dtype=torch.bool)
        scores = None

    with pytest.raises(ValueError, match=r"Names must be `input`, .* got 'x1'\. Make"):
        CircuitGraph.of(Other())
