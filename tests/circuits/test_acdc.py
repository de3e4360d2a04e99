import pytest
import torch
from torch import Tensor

from tests.circuits.by_hooks import run_without
from tests.tiny import images_of, random_model
from vitreous.circuits import acdc
from vitreous.circuits._distance import Metric
from vitreous.models import Graph, Pairs


def tiny() -> tuple[Pairs, Graph]:
    model = random_model(n_layers=2, n_heads=2, d_model=8)
    images = (images_of(model, 2, seed) for seed in (1, 2))
    return Pairs.of(model, *images, model.target(1, minus=3)), Graph.of(model)


def sequentially(pairs: Pairs, graph: Graph, threshold: float, metric: Metric) -> Tensor:
    """Algorithm 1 of the paper for one threshold, an edge and a hooked pass at a time."""

    def distance(keep: Tensor) -> float:
        logits = run_without(pairs, graph, keep)
        if metric == "target":
            return float((pairs.target(logits) - pairs.clean_value).abs().mean())
        full = pairs.model(pairs.clean).softmax(-1)
        return float((full * (full.log() - logits.log_softmax(-1))).sum(-1).mean())

    kept, now = graph.possible.clone(), 0.0
    for destination in reversed(range(len(graph.destinations))):
        for source in reversed(range(len(graph.sources))):
            if not graph.possible[0, source, destination]:
                continue
            tried = kept.clone()
            tried[0, source, destination] = False
            changed = distance(tried)
            if changed - now < threshold:
                kept, now = tried, changed
    return kept


@pytest.mark.parametrize(("metric", "threshold"), [("kl", 0.003), ("target", 0.05)])
def test_the_circuit_of_a_threshold_is_that_of_the_sequential_search(
    metric: Metric, threshold: float
) -> None:
    pairs, graph = tiny()
    with torch.no_grad():
        expected = sequentially(pairs, graph, threshold, metric)
    found = acdc(pairs, graph, thresholds=[threshold], metric=metric) > 0
    assert 0 < int(found.sum()) < graph.n_possible
    assert torch.equal(found, expected)


def test_a_score_is_the_largest_threshold_that_keeps_the_edge() -> None:
    pairs, graph = tiny()
    thresholds = [0.001, 0.01, 0.1]
    alone = [acdc(pairs, graph, thresholds=[each]) for each in thresholds]
    scores = acdc(pairs, graph, thresholds=thresholds, max_batch=3)
    assert torch.equal(scores, torch.stack(alone).amax(0))
    assert len(scores.unique()) > 2


def test_without_thresholds_the_best_edges_are_told_apart() -> None:
    pairs, graph = tiny()
    scores = acdc(pairs, graph)
    assert len(scores.unique()) > 4
    assert not scores[~graph.possible].any()
