import torch

from tests.circuits.by_hooks import run_without
from tests.tiny import images_of, random_model
from vitreous.circuits import exact
from vitreous.models import Graph, Pairs, TokenGroups


def tiny(count: int = 2, *, idle: bool = False) -> tuple[Pairs, Graph]:
    """Pairs, and a graph; where `idle`, the first head of the last block writes nothing."""
    model = random_model(n_layers=2, n_heads=2, d_model=8)
    if idle:
        with torch.no_grad():
            model.blocks[1].attn.out.weight[:, :4] = 0
    images = (images_of(model, count, seed) for seed in (1, 2))
    return Pairs.of(model, *images, model.target(1, minus=3)), Graph.of(model)


def slowly(pairs: Pairs, graph: Graph, *place: int, groups: TokenGroups | None = None) -> float:
    """The target of a run without one edge, averaged over pairs."""
    keep = torch.ones_like(graph.possible)
    keep[place] = False
    with torch.no_grad():
        return float(pairs.target(run_without(pairs, graph, keep, groups)).mean())


def test_a_score_is_what_the_target_loses_without_the_edge() -> None:
    pairs, graph = tiny(3)
    scores = exact(pairs, graph, max_batch=2)
    full = float(pairs.clean_value.mean())
    for place in graph.possible.nonzero()[::4].tolist():
        assert abs(scores[tuple(place)] - (full - slowly(pairs, graph, *place))) < 1e-10
    assert not scores[~graph.possible].any()


def test_from_the_corrupt_side_it_is_what_the_target_gains_with_the_edge() -> None:
    pairs, graph = tiny()
    scores = exact(pairs, graph, direction="denoise")
    back = Pairs.of(pairs.model, pairs.corrupt, pairs.clean, pairs.target)
    empty = float(pairs.corrupt_value.mean())
    for place in graph.possible.nonzero()[::7].tolist():
        assert abs(scores[tuple(place)] - (slowly(back, graph, *place) - empty)) < 1e-10


def test_edges_of_a_group_of_tokens_have_scores_of_their_own() -> None:
    pairs, _ = tiny()
    groups = TokenGroups.of(pairs.model.layout, "kinds")
    graph = groups.graph(pairs.model)
    scores = exact(pairs, graph, groups=groups)
    full = float(pairs.clean_value.mean())
    for place in graph.possible.nonzero()[::11].tolist():
        lost = full - slowly(pairs, graph, *place, groups=groups)
        assert abs(scores[tuple(place)] - lost) < 1e-10
