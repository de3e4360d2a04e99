"""Methods of discovery, graded on models whose circuit is known by construction."""

from functools import cache
from typing import Any

import pytest

from tests.tiny import images_of, random_model
from vitreous import circuits
from vitreous.circuits import auroc, auroc_by_chance, discover
from vitreous.circuits._discover import SEARCHES
from vitreous.models import Graph, Pairs
from vitreous.terrarium import COMPILED_MODELS, CompiledModel, compiled_model

# Enough that pairs of all kinds are there.
N_PAIRS = 4
# Truth of `redundant` is that of denoising, where noising can't find it; of all others, of both.
DENOISE = {"direction": "denoise"}

each_model = pytest.mark.parametrize("name", COMPILED_MODELS)
each_sound_model = pytest.mark.parametrize("name", [n for n in COMPILED_MODELS if n != "redundant"])


@cache
def made(name: str) -> CompiledModel:
    return compiled_model(name)


def found(name: str, method: str, *, exchanged: bool = False, **options: Any) -> Graph:
    item = made(name)
    clean, corrupt = item.pairs(N_PAIRS)
    pair = (corrupt, clean) if exchanged else (clean, corrupt)
    return discover(item.model, *pair, item.target, method, max_batch=256, **options)


def require(name: str, graph: Graph, at_least: float) -> None:
    area = auroc(graph, made(name).graph)
    assert area >= at_least
    assert area > auroc_by_chance(graph, made(name).graph).quantile(0.975)


@each_model
def test_exact_edges_find_the_circuit(name):
    require(name, found(name, "exact", **DENOISE), 0.99)


@each_sound_model
def test_exact_edges_find_it_by_noising_too(name):
    require(name, found(name, "exact"), 0.99)


@each_model
def test_acdc_finds_the_circuit(name):
    require(name, found(name, "acdc", exchanged=True, metric="target"), 0.99)


@each_sound_model
def test_acdc_finds_it_by_noising_too(name):
    require(name, found(name, "acdc"), 0.99)


@each_model
def test_integrated_gradients_find_the_circuit(name):
    require(name, found(name, "eap-ig"), 0.9)


def test_of_two_ways_that_each_suffice_noising_finds_none_and_acdc_one():
    true = made("redundant").graph
    either = {str(edge) for edge in true.edges()} - {"m1->logits"}
    exact, acdc = (found("redundant", each).above(1e-6) for each in ("exact", "acdc"))
    assert [str(edge) for edge in exact.edges()] == ["m1->logits"]
    kept = {str(edge) for edge in acdc.edges()} & either
    assert kept in ({"input->a0.h1<v>", "a0.h1->m1"}, {"input->a1.h2<v>", "a1.h2->m1"})


@pytest.mark.parametrize("name", ["count", "mirror", "redundant"])
def test_a_gradient_at_the_clean_picture_sees_no_step(name):
    scored = found(name, "eap").above(1e-6)
    assert [str(edge) for edge in scored.edges()] == ["m1->logits"]


@pytest.mark.parametrize(
    ("method", "search", "options"),
    [
        ("exact", circuits.exact, DENOISE),
        ("acdc", circuits.acdc, {"thresholds": [0.1, 1.0]}),
    ],
)
def test_one_door_leads_to_each_search_with_its_options(method, search, options):
    model = random_model(n_layers=1, n_heads=2, d_model=8)
    clean, corrupt = (images_of(model, 2, seed) for seed in (1, 2))
    target = model.target(1, minus=3)
    scored = discover(model, clean, corrupt, target, method, **options)
    pairs = Pairs.of(model, clean, corrupt, target)
    expected = search(pairs, Graph.of(model), max_batch=16, **options)
    assert scored.scores is not None and scored.scores.equal(expected.to(scored.scores.dtype))
    assert scored.attrs["method"] == method and scored.attrs["pairs"] == 2


def test_the_third_search_is_edge_pruning():
    assert SEARCHES["edge-pruning"] is circuits.edge_pruning


def test_chance_is_drawn_among_edges_of_the_same_sort():
    item = made("corners")
    scored = item.graph.scored(item.graph.included.double())
    areas = auroc_by_chance(scored, item.graph, count=40)
    assert len(areas.unique()) > 2 and 0.5 < areas.mean() < 0.8
    again = auroc_by_chance(scored, item.graph, count=40)
    assert areas.equal(again)
    # Scores that know the sort of an edge and nothing else do as well on every drawn truth.
    by_sort = item.graph.scored(item.graph.possible.double())
    by_sort.scores[:, :, -1] = 2
    [area] = auroc_by_chance(by_sort, item.graph).unique().tolist()
    assert area == auroc(by_sort, item.graph)
