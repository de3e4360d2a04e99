import pytest
import torch
from torch import Tensor

from tests.circuits.by_hooks import run_without, what_sources_write
from tests.tiny import READOUTS, images_of, random_model
from vitreous.circuits import MaskedRuns
from vitreous.models import (
    AttentionConfig,
    Graph,
    HookedTextConfig,
    HookedTextTransformer,
    HookedViT,
    Pairs,
    PoolingConfig,
    TokenGroups,
)

EXACT = 1e-10
HAVE_EDGES = [
    name
    for name, changes in READOUTS.items()
    if "out_norm" not in changes
    and getattr(changes.get("attention"), "z_norm", None) is None
    and getattr(changes.get("attention"), "space_time", "joint") == "joint"
]
KINDS = pytest.mark.parametrize("kind", HAVE_EDGES)


def pairs_of(model: HookedViT, count: int = 2) -> Pairs:
    clean, corrupt = images_of(model, count, seed=1), images_of(model, count, seed=2)
    return Pairs.of(model, clean, corrupt, model.target(1, minus=3))


def tiny(kind: str = "class token") -> tuple[Pairs, Graph]:
    model = random_model(**{"n_layers": 2, "n_heads": 2, "d_model": 8} | READOUTS[kind])
    return pairs_of(model), Graph.of(model)


def random_sets(graph: Graph, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *graph.possible.shape, generator=generator) < 0.6


def close(one: Tensor, other: Tensor) -> bool:
    one, other = one.detach(), other.detach()
    return float((one - other).abs().max()) <= EXACT * max(1.0, float(other.abs().max()))


@KINDS
def test_all_edges_are_the_full_model_and_none_is_the_corrupt_run(kind: str) -> None:
    pairs, graph = tiny(kind)
    keep = torch.stack([graph.possible, torch.zeros_like(graph.possible)])
    full, empty = MaskedRuns(pairs, graph).logits(keep)
    assert close(full, pairs.model(pairs.clean))
    assert close(empty, pairs.model(pairs.corrupt))


@KINDS
def test_any_sets_of_edges_run_as_one_hooked_pass_for_each(kind: str) -> None:
    pairs, graph = tiny(kind)
    sets = random_sets(graph, 3)
    expected = torch.stack([run_without(pairs, graph, each) for each in sets])
    assert close(MaskedRuns(pairs, graph).logits(sets), expected)


@pytest.mark.parametrize("kind", ["class token", "parallel, normed queries and keys"])
def test_each_edge_removed_alone_runs_as_one_hooked_pass_for_each(kind: str) -> None:
    pairs, graph = tiny(kind)
    edges = graph.possible.nonzero()[::5]
    sets = torch.ones(len(edges), *graph.possible.shape, dtype=torch.bool)
    sets[(torch.arange(len(edges)), *edges.T)] = False
    expected = torch.stack([run_without(pairs, graph, each) for each in sets])
    assert close(MaskedRuns(pairs, graph).logits(sets), expected)


@pytest.mark.parametrize("kind", ["class token", "relative bias", "attention pooling"])
def test_groups_of_tokens_run_as_one_hooked_pass_for_each(kind: str) -> None:
    pairs, _ = tiny(kind)
    layout = pairs.model.layout
    for named in ("kinds", "positions"):
        groups = TokenGroups.of(layout, named)
        graph = groups.graph(pairs.model)
        sets = random_sets(graph, 3)
        expected = torch.stack([run_without(pairs, graph, each, groups) for each in sets])
        assert close(MaskedRuns(pairs, graph, groups=groups).logits(sets), expected)


def test_stacked_sets_and_pairs_run_as_one_by_one() -> None:
    model = random_model(n_layers=2, n_heads=2, d_model=8)
    pairs, graph = pairs_of(model, 3), Graph.of(model)
    sets = random_sets(graph, 4)
    stacked = MaskedRuns(pairs, graph).values(sets)
    by_one = MaskedRuns(pairs, graph, max_batch=1)
    assert close(stacked, torch.cat([by_one.values(each[None]) for each in sets]))


def test_groups_with_one_mask_run_as_the_plain_graph() -> None:
    pairs, graph = tiny()
    groups = TokenGroups.of(pairs.model.layout, "positions")
    sets = random_sets(graph, 3)
    apart = MaskedRuns(pairs, groups.graph(pairs.model), groups=groups)
    everywhere = sets.expand(-1, len(groups.names), -1, -1)
    assert close(apart.values(everywhere), MaskedRuns(pairs, graph).values(sets))


def test_the_gradient_by_a_mask_is_what_a_small_step_changes() -> None:
    pairs, graph = tiny("relative bias")
    runs = MaskedRuns(pairs, graph)
    keep = torch.rand(1, *graph.possible.shape, dtype=torch.float64).requires_grad_()
    [gradient] = torch.autograd.grad(runs.values(keep).sum(), keep)
    step = 1e-6 * torch.randn_like(keep)
    with torch.no_grad():
        up, down = runs.values(keep + step).sum(), runs.values(keep - step).sum()
    assert gradient.abs().max() > 1e-3
    assert torch.isclose((gradient * step).sum(), (up - down) / 2, rtol=1e-4, atol=0)
    assert not gradient[:, ~graph.possible].any()


def test_the_gradient_is_there_where_all_edges_are_live() -> None:
    pairs, graph = tiny()
    keep = torch.ones(1, *graph.possible.shape, dtype=torch.float64).requires_grad_()
    [gradient] = torch.autograd.grad(MaskedRuns(pairs, graph).values(keep).sum(), keep)
    assert gradient[0, 0, -1, -1] != 0


@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_removed_edges_carry_nothing_or_the_mean(baseline: str) -> None:
    pairs, graph = tiny()
    other = what_sources_write(pairs.model, pairs.corrupt)
    stands_in = {
        name: x * 0 if baseline == "zero" else x.mean(0, keepdim=True).expand_as(x)
        for name, x in other.items()
    }
    [keep] = sets = random_sets(graph, 1)
    expected = run_without(pairs, graph, keep, stands_in=stands_in)
    runs = MaskedRuns(pairs, graph, baseline=baseline, max_batch=1)  # the mean is over all pairs
    assert close(runs.logits(sets)[0], expected)


def test_a_text_model_runs_too() -> None:
    shape = {"n_layers": 2, "d_model": 8, "n_heads": 2, "d_mlp": 12}
    cfg = HookedTextConfig(
        **shape,
        vocab_size=9,
        n_ctx=5,
        attention=AttentionConfig(causal=True),
        pooling=PoolingConfig("eot"),
        n_classes=5,
    )
    model = HookedTextTransformer(cfg).double()
    for seed, weight in enumerate(model.parameters()):
        torch.nn.init.normal_(weight, 0, 0.5, torch.Generator().manual_seed(seed))
    inputs = [model.random_inputs(2, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for tokens in inputs:
        tokens.clamp_max_(7)[0, -1] = tokens[1, 2] = 8  # where they are read
    pairs = Pairs.of(model, *inputs, model.target(1, minus=3))
    graph = Graph.of(model)
    sets = random_sets(graph, 2)
    expected = torch.stack([run_without(pairs, graph, each) for each in sets])
    assert close(MaskedRuns(pairs, graph).logits(sets), expected)
