import torch

from tests.circuits.test_exact import tiny
from vitreous.circuits import MaskedRuns, edge_pruning, exact, score_at_random
from vitreous.circuits._distance import distances


def test_learned_masks_keep_what_the_model_needs() -> None:
    pairs, graph = tiny(4)
    scored = graph.scored(edge_pruning(pairs, graph, sparsity=0.5, steps=150))
    count = graph.n_possible // 2
    rivals = [score_at_random(graph, seed=seed).top(count) for seed in range(10)]
    sets = torch.stack([each.included for each in (scored.top(count), *rivals)])
    with torch.no_grad():
        ours, *others = distances(MaskedRuns(pairs, graph), sets, "kl").tolist()
    assert ours < min(others)


def test_a_seed_gives_the_same_scores_again() -> None:
    pairs, graph = tiny()
    one, same, other = (edge_pruning(pairs, graph, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_edges_that_do_nothing_go() -> None:
    pairs, graph = tiny(3, idle=True)
    found = edge_pruning(pairs, graph, sparsity=0.5, steps=120, metric="target")
    idle = [place for place, name in enumerate(graph.destinations) if name.startswith("a1.h0<")]
    best = exact(pairs, graph).abs().flatten().topk(5).indices
    worth = found.flatten()[best].median()
    assert found[:, :, idle][graph.possible[:, :, idle]].median() < worth / 4
