"""On the models whose circuit is known, methods find what the page says."""

import pytest

from vitreous.circuits import acdc, auroc, discover, exact
from vitreous.models import Graph, Pairs
from vitreous.terrarium import COMPILED_MODELS, compiled_model

each_model = pytest.mark.parametrize("name", COMPILED_MODELS)
EAP = {"count": 0.625, "mirror": 0.583, "redundant": 0.6}


@each_model
def test_integrated_gradients_find_the_planted_circuit(name):
    item = compiled_model(name)
    found = discover(item.model, *item.pairs(8), item.target, method="eap-ig")
    assert auroc(found, item.graph) >= 0.9


@each_model
def test_gradients_at_a_picture_miss_it_behind_steps(name):
    item = compiled_model(name)
    found = discover(item.model, *item.pairs(8), item.target, method="eap")
    assert auroc(found, item.graph) == pytest.approx(EAP.get(name, 1), abs=0.001)


@each_model
def test_exact_patching_finds_it(name):
    item = compiled_model(name)
    pairs, graph = Pairs.of(item.model, *item.pairs(4), item.target), Graph.of(item.model)
    assert auroc(graph.scored(exact(pairs, graph, direction="denoise")), item.graph) >= 0.99
    noised = auroc(graph.scored(exact(pairs, graph, direction="noise")), item.graph)
    assert noised >= 0.99 if name != "redundant" else noised == pytest.approx(0.6)


@each_model
def test_acdc_finds_it_and_one_of_two_redundant_ways(name):
    item = compiled_model(name)
    pairs, graph = Pairs.of(item.model, *item.pairs(4), item.target), Graph.of(item.model)
    found = auroc(graph.scored(acdc(pairs, graph)), item.graph)
    assert found >= 0.99 if name != "redundant" else found == pytest.approx(0.8)
