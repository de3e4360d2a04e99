import torch

from tests.circuits.test_exact import tiny
from vitreous.circuits import edge_pruning, exact, faithfulness, score_at_random


def test_learned_masks_keep_what_the_model_needs() -> None:
    pairs, graph = tiny(4)
    scored = graph.scored(edge_pruning(pairs, graph, sparsity=0.5, steps=120))
    count = graph.n_possible // 2
    rivals = [score_at_random(graph, seed=seed).top(count) for seed in range(10)]
    circuits = [scored.top(count), *rivals]
    off = faithfulness(pairs, circuits)["faithfulness_of_pair"].data
    distance = abs(off - 1).mean(1)
    assert distance[0] < min(distance[1:])


def test_a_seed_gives_the_same_scores_again() -> None:
    pairs, graph = tiny()
    one, same, other = (edge_pruning(pairs, graph, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_edges_that_do_nothing_go() -> None:
    pairs, graph = tiny(3)
    with torch.no_grad():
        pairs.model.blocks[1].attn.out.weight[:, :4] = 0  # the first head of the last block
    found = edge_pruning(pairs, graph, sparsity=0.3, steps=90, metric="target")
    idle = [place for place, name in enumerate(graph.destinations) if name.startswith("a1.h0<")]
    busy = exact(pairs, graph).abs() > 0.02
    assert found[:, :, idle][graph.possible[:, :, idle]].mean() < found[busy].mean() / 4
