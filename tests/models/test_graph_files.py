"""Graphs as files."""

import json
from pathlib import Path

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import Graph, TokenGroups

RECORDED = Path(__file__).parent / "graphs"


def scored(graph, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return graph.scored(torch.randn(graph.possible.shape, generator=generator, dtype=dtype))


def same(one, other):
    return (
        (one.shape, one.groups, one.attrs) == (other.shape, other.groups, other.attrs)
        and torch.equal(one.possible, other.possible)
        and torch.equal(one.included, other.included)
        and (one.scores is other.scores is None or torch.equal(one.scores, other.scores))
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_our_own_form_keeps_everything(tmp_path, dtype):
    model = random_model(parallel=True)
    graph = scored(TokenGroups.of(model.layout, "kinds").graph(model), dtype).top(9)
    graph.attrs["method"] = "eap"
    graph.to_json(tmp_path / "graph.json")
    assert same(Graph.from_json(tmp_path / "graph.json"), graph)


def test_a_graph_without_scores_is_kept_too(tmp_path):
    graph = Graph.of(random_model(d_mlp=None)).keeping([("input", "a1.h0<k>")])
    graph.to_json(tmp_path / "graph.json")
    assert same(Graph.from_json(tmp_path / "graph.json"), graph)


@pytest.mark.parametrize("name", ["graph.json", "graph.pt"])
@pytest.mark.parametrize("parallel", [False, True])
def test_the_forms_of_mib_keep_edges_and_scores(tmp_path, name, parallel):
    graph = scored(Graph.of(random_model(parallel=parallel)), torch.float32).top(9)
    graph.to_mib(tmp_path / name, d_model=16)
    assert same(Graph.from_mib(tmp_path / name), graph)


def test_a_file_of_mib_says_what_eap_ig_reads(tmp_path):
    graph = scored(Graph.of(random_model())).keeping([("a0.h1", "a2.h3<q>"), ("a2.h3", "logits")])
    graph.to_mib(tmp_path / "graph.json", d_model=16)
    plain = json.loads((tmp_path / "graph.json").read_text())
    assert plain["cfg"] == {"n_layers": 3, "n_heads": 4, "parallel_attn_mlp": False, "d_model": 16}
    inside = {name for name, about in plain["nodes"].items() if about["in_graph"]}
    assert inside == {"a0.h1", "a2.h3", "logits"}
    assert len(plain["edges"]) == graph.n_possible
    assert plain["edges"]["a0.h1->a2.h3<q>"]["in_graph"]


@pytest.mark.parametrize("name", ["eap_ig.json", "eap_ig.pt"])
def test_files_in_the_layout_of_eap_ig_are_read(name):
    graph = Graph.from_mib(RECORDED / name)
    assert [str(edge) for edge in graph.edges()] == ["input->a0.h1<v>", "a0.h1->m0", "m0->logits"]
    assert [edge.score for edge in graph.edges()] == [0.5, -0.25, 2.0]
    assert graph.n_possible == (1 * 6 + 3 + 4)
