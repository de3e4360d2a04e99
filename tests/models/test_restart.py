"""A run continued from inside a block is the whole pass with a hook there."""

import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import Ablate, Edit

EXACT_ENOUGH = 1e-10
POINTS = (
    "hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_attn_scores",
    "attn.hook_pattern", "attn.hook_z", "hook_attn_out", "hook_resid_mid", "mlp.hook_post",
    "hook_mlp_out", "hook_resid_post", "hook_resid_time", "attn_time.hook_q", "attn_time.hook_k",
    "attn_time.hook_z", "attn_time.hook_pattern", "hook_attn_time_out",
)  # fmt: skip


def points_of(model) -> list[str]:
    there = [f"blocks.{layer}.{local}" for layer in (0, 1, 2) for local in POINTS]
    return [name for name in there if name in model.hook_dict]


def other_values(model, cache, name, copies: int):
    """Those of other images, mixed with the run's own, differently for each copy."""
    other = model.run_with_cache(images_of(model, len(cache[name]), seed=9), names_filter=name)[1]
    shares = torch.linspace(0.2, 1, copies, dtype=torch.float64).tolist()
    # Of minus infinity there is no share.
    mixed = [torch.where(cache[name] == other[name], cache[name], cache[name].lerp(other[name], s))
             for s in shares]  # fmt: skip
    return torch.cat(mixed)


def hooked(model, images, name, values):
    """Whole passes, one for each copy."""
    parts = values.split(len(images))
    return torch.cat(
        [model.run_with_hooks(images, fwd_hooks=[(name, lambda x, hook, v=v: v)]) for v in parts]
    )


@pytest.mark.parametrize("readout", READOUTS)
def test_a_restart_is_a_whole_pass_with_a_hook(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model, 2)
    with torch.no_grad():
        cache = model.run_with_cache(images)[1]
        for name in points_of(model):
            values = other_values(model, cache, name, copies=3)
            expected, got = hooked(model, images, name, values), model.restart(cache, name, values)
            assert (expected - model(images).repeat(3, 1)).abs().max() > 1e-6 or is_unread(
                model, name
            ), name
            torch.testing.assert_close(got, expected, rtol=0, atol=EXACT_ENOUGH, msg=name)


def is_unread(model, name: str) -> bool:
    """Where nothing of the point reaches the head: attention over time passes class tokens by."""
    return name.startswith("blocks.2.") and model.cfg.divides_space_time


@pytest.mark.parametrize("readout", READOUTS)
def test_the_runs_own_values_change_nothing(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model, 2)
    with torch.no_grad():
        logits, cache = model.run_with_cache(images)
        for name in points_of(model):
            again = model.restart(cache, name, cache[name])
            torch.testing.assert_close(again, logits, rtol=0, atol=EXACT_ENOUGH, msg=name)


@pytest.mark.parametrize("readout", READOUTS)
def test_hooks_in_front_hold_and_hooks_behind_fire(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model, 2)
    edits = [Edit("blocks.0.attn.hook_z", lambda x, hook: x * 0.5 + 0.1)]
    edits += [Edit(f"blocks.{layer}.attn.hook_k", lambda x, hook: x.flip(1)) for layer in (0, 1, 2)]
    edits += [Edit("blocks.2.hook_resid_post", lambda x, hook: x.roll(1, -1))]
    edits += [Edit("blocks.1.attn.hook_pattern", lambda x, hook: x.flip(2))]
    with torch.no_grad(), model.intervene(edits):
        cache = model.run_with_cache(images)[1]
        for name in points_of(model):
            values = other_values(model, cache, name, copies=2)
            expected, got = hooked(model, images, name, values), model.restart(cache, name, values)
            torch.testing.assert_close(got, expected, rtol=0, atol=EXACT_ENOUGH, msg=name)


def test_hooks_fire_once_behind_the_point_and_never_elsewhere():
    model = random_model()
    images = images_of(model, 2)
    cache = model.run_with_cache(images)[1]
    fired: list[str] = []
    with model.hooks([("blocks.*", lambda x, hook: fired.append(hook.name))]):
        model(images)
        fired.clear()
        model.restart(cache, "blocks.1.attn.hook_z", cache["z", 1])
    names = model.hook_names(on_demand=False)
    behind = names[names.index("blocks.1.attn.hook_z") + 1 :]
    behind = [name for name in behind if name.startswith("blocks.")]
    assert fired == behind


@pytest.mark.parametrize("readout", ["class token", "distillation", "relative bias", "causal"])
def test_only_what_is_read_is_computed_in_the_last_block(readout, monkeypatch):
    model = random_model(**READOUTS[readout])
    cache = model.run_with_cache(images_of(model, 2))[1]
    seen: list[int] = []
    write = model.blocks[2].mlp.write
    monkeypatch.setattr(
        model.blocks[2].mlp, "write", lambda post: seen.append(post.shape[1]) or write(post)
    )
    model.restart(cache, "blocks.0.attn.hook_z", cache["z", 0])
    with model.hooks([("blocks.2.mlp.hook_post", lambda x, hook: None)]):
        model.restart(cache, "blocks.0.attn.hook_z", cache["z", 0])
    n_read = model.pooling.n_first
    assert seen == [n_read or model.layout.n_tokens, model.layout.n_tokens]


def test_a_restart_goes_with_gradients():
    model, name = random_model(), "blocks.1.attn.hook_q"
    images = images_of(model, 2)
    cache = model.run_with_cache(images)[1]
    values = cache[name].clone().requires_grad_()
    model.restart(cache, name, values)[:, 0].sum().backward()
    _, expected = model.run_with_cache(
        images, names_filter=name, incl_bwd=lambda logits: logits[:, 0]
    )
    torch.testing.assert_close(values.grad, expected[f"{name}_grad"], rtol=0, atol=1e-10)


def test_a_restart_within_a_recorded_pass_leaves_no_trace_in_it():
    model, name = random_model(), "blocks.0.hook_resid_post"
    images = images_of(model, 2)
    base = model.run_with_cache(images)[1]

    def run_inside(x, hook):
        model.restart(base, name, torch.zeros_like(x))

    _, cache = model.run_with_cache(images, fwd_hooks=[("hook_embed", run_inside)])
    torch.testing.assert_close(cache["resid_post", 2], base["resid_post", 2])


def test_a_hook_that_no_restart_comes_by_is_told():
    model = random_model()
    cache = model.run_with_cache(images_of(model, 2))[1]
    with (
        pytest.raises(Exception, match="never did"),
        model.intervene(Ablate("L0M", "zero")),
    ):
        model.restart(cache, "blocks.1.attn.hook_z", cache["z", 1])


def test_pooled_features_come_out_too():
    model = random_model()
    images = images_of(model, 2)
    cache = model.run_with_cache(images)[1]
    features = model.restart(
        cache, "blocks.1.hook_mlp_out", cache["mlp_out", 1], return_type="pre_logits"
    )
    torch.testing.assert_close(features, model(images, return_type="pre_logits"))
