"""Scores of edges from one plain backward pass, against inputs split by head."""

import pytest
import torch

from tests.circuits._split_path import differences, edge_products, split_run
from tests.tiny import READOUTS, images_of, random_model
from vitreous.circuits import discover
from vitreous.circuits._base_runs import BaseRuns
from vitreous.circuits._gradient_scores import GradientBatch, node_scores
from vitreous.models import AttentionConfig, MapConfig, NormConfig, PoolingConfig, TokenGroups

GRAPHED = {
    name: changes
    for name, changes in READOUTS.items()
    if name
    not in (
        "norms behind attention and MLP",
        "rotary, gated, norms inside",
        "clips, attention over time and over space",
    )
} | {
    "gated, norms inside the MLP": {
        "act_name": "silu", "mlp_gate": True, "mlp_in_norm": NormConfig(), "mlp_norm": NormConfig(),
    },
    "side by side without norms": {"parallel": True, "norm": None, "layer_scale": True},
    "rotary, RMSNorm, no biases": {
        "norm": NormConfig("rms", 0.1),
        "attention": AttentionConfig(qkv_bias=False, out_bias=False),
        "d_mlp": None,
    },
    "attention pooling and a gap": {
        "norm": NormConfig(affine=False),
        "pooling": PoolingConfig("map", map=MapConfig(2, 8, 16, d_mlp=12)),
    },
}  # fmt: skip


def pair_of(model, count=2):
    return images_of(model, count), images_of(model, count, seed=2)


def close(one, other, tolerance=1e-9):
    return float((one - other).abs().max()) <= tolerance * float(other.abs().max())


@pytest.mark.parametrize("changes", GRAPHED.values(), ids=GRAPHED)
def test_streamed_gradients_equal_those_at_split_inputs(changes):
    model = random_model(**changes)
    clean, corrupt = pair_of(model)
    target = model.target(0, minus=1)
    run = split_run(model, clean, target)
    products = edge_products(model, differences(model, clean, corrupt), run)
    found = discover(model, clean, corrupt, target)
    assert close(found.scores[0], products.sum(-1).mean(-1))


def test_a_metric_of_all_outputs_has_gradients_too():
    model = random_model(pooling=PoolingConfig("none"))
    clean, corrupt = pair_of(model)
    target = model.target(lambda logits: logits.square().sum((1, 2)))
    products = edge_products(
        model, differences(model, clean, corrupt), split_run(model, clean, target)
    )
    assert close(discover(model, clean, corrupt, target).scores[0], products.sum(-1).mean(-1))


@pytest.mark.parametrize("groups", ["kinds", "positions", "foreground"])
def test_groups_divide_what_an_edge_carries(groups):
    model = random_model(n_registers=1)
    clean, corrupt = pair_of(model, 3)
    target = model.target(0, minus=1)
    if groups == "foreground":
        mask = torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) > 0.5
        chosen = TokenGroups.of_foreground(model.layout, mask)
    else:
        chosen = TokenGroups.of(model.layout, groups)
    found = discover(model, clean, corrupt, target, groups=chosen, max_batch=2)
    products = edge_products(
        model, differences(model, clean, corrupt), split_run(model, clean, target)
    )
    members = chosen.members.expand(3, -1, -1).double()
    expected = torch.einsum("sdbt,bgt->gsd", products, members) / 3
    assert found.groups == chosen.names
    assert close(found.scores, expected)
    assert float(expected[~found.possible].abs().max()) < 1e-12  # what nobody reads is zero


@pytest.mark.parametrize("rule", ["midpoint", "left"])
def test_gradients_are_averaged_between_the_inputs(rule):
    model = random_model(**READOUTS["registers, ln_pre, LayerScale"])
    clean, corrupt = pair_of(model)
    target = model.target(2)
    difference = differences(model, clean, corrupt)
    expected = 0.0
    for step in range(3):
        point = (step + (rule == "midpoint") / 2) / 3
        hook = (
            "blocks.0.hook_resid_pre",
            lambda x, hook, a=point: x - (1 - a) * difference["input"],
        )
        run = split_run(model, clean, target, fwd_hooks=[hook])
        expected = expected + edge_products(model, difference, run).sum(-1).mean(-1) / 3
    found = discover(model, clean, corrupt, target, "eap-ig", steps=3, rule=rule)
    assert close(found.scores[0], expected)


@pytest.mark.parametrize(
    "name", ["class token", "attention only, RMSNorm", "parallel, normed queries and keys"]
)
def test_gradients_are_averaged_between_the_outputs_of_a_part(name):
    model = random_model(**READOUTS[name], n_layers=2)
    clean, corrupt = pair_of(model)
    target = model.target(2)
    difference = differences(model, clean, corrupt)
    points = {"input": "blocks.0.hook_resid_pre"}
    for layer in range(2):
        points[f"a{layer}."] = f"blocks.{layer}.hook_attn_out"
        points[f"m{layer}"] = f"blocks.{layer}.hook_mlp_out"
    found = discover(model, clean, corrupt, target, "eap-ig-activations", steps=2)
    for part, point in points.items():
        rows = [i for i, source in enumerate(found.sources) if source.startswith(part)]
        if not rows:
            continue
        whole = sum(difference[found.sources[i]] for i in rows)
        expected = 0.0
        for a in (0.25, 0.75):
            hook = (point, lambda x, hook, a=a, whole=whole: x - (1 - a) * whole)
            run = split_run(model, clean, target, fwd_hooks=[hook])
            expected = expected + edge_products(model, difference, run).sum(-1).mean(-1) / 2
        assert close(found.scores[0, rows], expected[rows])


@pytest.mark.parametrize("changes", GRAPHED.values(), ids=GRAPHED)
def test_outgoing_scores_of_a_source_sum_to_its_node_score(changes):
    model = random_model(**changes)
    clean, corrupt = pair_of(model)
    groups = TokenGroups.of(model.layout, "kinds")
    found = discover(model, clean, corrupt, model.target(0), groups=groups)
    runs = BaseRuns.of(model.target(0), clean, corrupt, differentiated=True)
    scores = node_scores(GradientBatch(runs, found, groups.index(2), 1, "left")) / 2
    assert close(found.scores.sum(-1), scores)


@pytest.mark.parametrize("changes", GRAPHED.values(), ids=GRAPHED)
def test_integrated_outgoing_scores_of_a_source_sum_to_its_node_score(changes):
    model = random_model(**changes)
    clean, corrupt = pair_of(model)
    target, difference = model.target(0), differences(model, clean, corrupt)
    found = discover(model, clean, corrupt, target, "eap-ig", steps=2)
    at_input = "blocks.0.hook_resid_pre"
    points = dict.fromkeys(found.sources, at_input)
    for layer in range(model.cfg.n_layers):
        points[f"m{layer}"] = f"blocks.{layer}.hook_mlp_out"
        for head in range(model.cfg.n_heads):
            points[f"a{layer}.h{head}"] = f"blocks.{layer}.attn.hook_result"
    expected = torch.zeros(len(found.sources), dtype=torch.float64)
    for step in range(2):
        hook = (at_input, lambda x, _, a=(step + 0.5) / 2: x - (1 - a) * difference["input"])
        names = {points[source] for source in found.sources}
        run = model.run_with_cache(clean, names_filter=names, fwd_hooks=[hook], incl_bwd=target)[1]
        for row, source in enumerate(found.sources):
            gradient = run[f"{points[source]}_grad"]
            if source.startswith("a"):
                gradient = gradient[:, :, int(source.partition(".h")[2])]
            expected[row] += (gradient * difference[source]).sum() / (2 * len(clean))
    assert close(found.scores[0].sum(-1), expected)


def test_node_scores_are_gradients_where_a_node_writes():
    model = random_model(**READOUTS["registers, ln_pre, LayerScale"])
    clean, corrupt = pair_of(model)
    target = model.target(0)
    difference = differences(model, clean, corrupt)
    found = discover(model, clean, corrupt, target, "nodes")
    names = ["attn.hook_result", "hook_mlp_out"]
    names = [f"blocks.{i}.{name}" for i in range(3) for name in names]
    run = model.run_with_cache(clean, names_filter=names, incl_bwd=target)[1]
    a1h2 = (difference["a1.h2"] * run["blocks.1.attn.hook_result_grad"][:, :, 2]).sum() / 2
    m2 = (difference["m2"] * run["blocks.2.hook_mlp_out_grad"]).sum() / 2
    to_logits = found.scores[found.index("a1.h2", "logits")]
    assert float(to_logits) == pytest.approx(float(a1h2), rel=1e-9)
    lesser = min(a1h2.abs(), m2.abs()) * (1 if min(a1h2, m2) > 0 else -1)
    assert float(found.scores[found.index("a1.h2", "m2")]) == pytest.approx(float(lesser), rel=1e-9)


def test_scores_of_a_linear_target_are_exact():
    model = random_model(norm=None, d_mlp=None, pooling=PoolingConfig("mean", None))
    for block in model.blocks:
        block.attn.qkv.weight.data[: 2 * 16] = 0  # constant patterns: all that is left is linear
    clean, corrupt = pair_of(model)
    found = discover(model, clean, corrupt, model.target(0))
    gap = found.attrs["clean"] - found.attrs["corrupt"]
    assert float(found.scores[0, 0].sum()) == pytest.approx(gap, rel=1e-10)
    assert float(found.scores[0, :, -1].sum()) == pytest.approx(gap, rel=1e-10)


def test_integrated_gradients_grow_complete():
    model = random_model()
    clean, corrupt = pair_of(model)
    errors = [
        abs(discover(model, clean, corrupt, 0, "eap-ig", steps=n).attrs["completeness_error"])
        for n in (8, 32)
    ]
    assert errors[1] < errors[0] / 12  # midpoints: by the square of the number of steps


def test_activations_that_move_alone_grow_complete():
    model = random_model(n_layers=1)
    clean, corrupt = pair_of(model, 1)
    found = discover(model, clean, corrupt, 0, "eap-ig-activations", steps=32)
    assert abs(found.attrs["completeness_error"]) < 1e-2
    difference = differences(model, clean, corrupt)
    for source, name in [("m0", "blocks.0.hook_mlp_out")]:
        hook = (name, lambda x, hook, by=difference[source]: x - by)
        change = found.attrs["clean"] - float(
            model.run_with_hooks(clean, fwd_hooks=[hook])[0, 0].detach()
        )
        row = found.sources.index(source)
        assert float(found.scores[0, row].sum()) == pytest.approx(change, rel=5e-3)


def test_the_batch_makes_no_difference():
    model = random_model()
    clean, corrupt = pair_of(model, 5)
    targets = model.target([0, 1, 2, 3, 4])
    whole = discover(model, clean, corrupt, targets, "eap-ig", steps=2)
    parts = discover(model, clean, corrupt, targets, "eap-ig", steps=2, max_batch=2)
    assert close(whole.scores, parts.scores)
    assert whole.attrs["completeness_error"] == pytest.approx(parts.attrs["completeness_error"])


def test_many_tokens_are_multiplied_in_pieces(monkeypatch):
    model = random_model()
    clean, corrupt = pair_of(model)
    whole = discover(model, clean, corrupt, 0)
    monkeypatch.setattr("vitreous.circuits._edge_sums._AT_ONCE", 2000)
    assert close(discover(model, clean, corrupt, 0).scores, whole.scores)


def test_half_precision_comes_near():
    model = random_model()
    clean, corrupt = pair_of(model)
    true = discover(model, clean, corrupt, 0).scores
    half = model.bfloat16()
    found = discover(half, clean.bfloat16(), corrupt.bfloat16(), 0).scores
    assert float((found - true).norm() / true.norm()) < 0.1


def test_parameters_keep_their_gradients():
    model = random_model()
    discover(model, *pair_of(model), 0, "eap-ig", steps=1)
    assert all(each.requires_grad and each.grad is None for each in model.parameters())


def test_active_hooks_take_part():
    model = random_model()
    clean, corrupt = pair_of(model)
    with model.hooks([("blocks.1.hook_mlp_out", lambda x, hook: x * 0)]):
        found = discover(model, clean, corrupt, 0)
        products = edge_products(
            model, differences(model, clean, corrupt), split_run(model, clean, model.target(0))
        )
    assert close(found.scores[0], products.sum(-1).mean(-1))
    assert float(found.scores[found.index("m1", "logits")]) == 0
