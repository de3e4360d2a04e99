"""One front door to all methods."""

import pytest
import torch

import vitreous as vt
from tests.tiny import random_images, random_model
from vitreous.circuits import acdc, edge_pruning, exact
from vitreous.circuits._discover import GRADIENTS, SEARCHES
from vitreous.models import Graph, Pairs


@pytest.mark.parametrize(
    ("method", "function", "options"),
    [
        ("exact", exact, {"direction": "denoise"}),
        ("acdc", acdc, {}),
        ("edge-pruning", edge_pruning, {"steps": 3, "seed": 1}),
    ],
)
def test_searches_are_reached_by_name(method, function, options):
    model = random_model(n_layers=1)
    clean, corrupt = random_images(), random_images(seed=2)
    graph = vt.discover(model, clean, corrupt, 0, method, **options)
    pairs = Pairs.of(model, clean, corrupt, 0)
    expected = Graph.of(model).scored(function(pairs, Graph.of(model), **options))
    assert torch.allclose(graph.scores.double(), expected.scores.double(), atol=1e-9)


@pytest.mark.parametrize("method", [*GRADIENTS, *(name for name in SEARCHES if name == "exact")])
def test_a_graph_says_how_it_came_about(method):
    model = random_model(n_layers=1)
    clean, corrupt = random_images(), random_images(seed=2)
    graph = vt.discover(model, clean, corrupt, 1, method, groups="kinds")
    assert graph.groups == ("cls", "patches")
    assert graph.count == graph.n_possible
    assert graph.attrs["method"] == method
    assert graph.attrs["clean"] == pytest.approx(float(model(clean)[:, 1].detach().mean()))
    assert ("completeness_error" in graph.attrs) == method.startswith("eap-ig")
