"""How well scores tell true edges from others, against scikit-learn."""

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.tiny import random_model
from vitreous.circuits import auroc, average_precision
from vitreous.models import Graph, TokenGroups


def graphs(seed, decimals, groups=None):
    """A found one, with ties where scores are rounded, and a true one."""
    model = random_model()
    graph = TokenGroups.of(model.layout, groups).graph(model)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(graph.possible.shape, generator=generator, dtype=torch.float64)
    kept = torch.rand(graph.possible.shape, generator=generator) < 0.2
    return graph.scored(scores.round(decimals=decimals)), graph.including(kept)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(auroc, roc_auc_score), (average_precision, average_precision_score)]
)
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("groups", [None, "kinds"])
def test_it_is_what_scikit_learn_computes(ours, theirs, absolute, decimals, groups):
    found, true = graphs(decimals, decimals, groups)
    scores = found.scores[found.possible]
    expected = theirs(true.included[true.possible], scores.abs() if absolute else scores)
    assert ours(found, true, absolute=absolute) == pytest.approx(expected, abs=1e-12)


def test_true_edges_on_top_are_found_perfectly():
    _, true = graphs(0, 9)
    assert auroc(true.scored(true.included.double()), true) == 1
    assert auroc(true.scored(-true.included.double()), true, absolute=False) == 0
    assert auroc(true.scored(torch.zeros_like(true.possible).double()), true) == 0.5


def test_a_graph_of_one_edge_is_compared_too():
    graph = Graph.of(random_model())
    true = graph.keeping([("m0", "logits")])
    assert auroc(graph.scored(true.included.double()), true) == 1
