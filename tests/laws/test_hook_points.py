"""Every named place in a pass: it fires once, and honors what is done there."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._definition import defined
from tests.laws._models import (
    assert_equal,
    build,
    configs,
    gap,
    images_for,
    law,
    random_like,
)
from vitreous._errors import HookError

EXPLICIT = ("hook_attn_scores", "hook_pattern", "hook_scale")


def replacement(name, value, seed=2):
    """Random values that may stand at a point: a scale stays a scale."""
    random = random_like(value, seed)
    return 0.5 + random.abs() if name.endswith("hook_scale") else random


def some_of(data, names, most=6):
    return data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True))


def void(_):
    """None: what is returned by a hook that edits in place."""


def unread(cfg, name):
    """Whether nothing depends on a value: the only key of the only token gets all attention."""
    chooses_keys = ("hook_q", "hook_k", "hook_q_input", "hook_k_input", "hook_attn_scores")
    last = name.rsplit(".", 1)[-1]
    only = build(cfg).layout.n_tokens == 1
    return only and (last in chooses_keys or ".q_norm." in name or ".k_norm." in name)


@law(configs())
def test_every_point_fires_exactly_once_and_in_the_order_of_hook_names(cfg):
    model, fired = build(cfg), []
    model.run_with_hooks(
        images_for(cfg),
        fwd_hooks=[(model.hook_names(), lambda value, hook: fired.append(hook.name))],
    )
    assert fired == model.hook_names()


@law(configs())
def test_the_dimensions_of_every_value_are_what_axes_says(cfg):
    model, images = build(cfg), images_for(cfg, 3)
    pooled = 1 + (cfg.pooling.kind == "cls" and cfg.distillation_token)
    known = {"image": 3, "head": cfg.n_heads, "d_head": cfg.d_head, "neuron": cfg.d_mlp}
    known |= {"query": model.layout.n_tokens, "key": model.layout.n_tokens}
    known |= {"label": cfg.n_classes or cfg.d_model}
    for name, value in defined(model, images)[1].items():
        is_behind_pooling = "ln_final" in name and not cfg.pooling.norm_first
        is_pooled = is_behind_pooling and cfg.pooling.kind != "none"
        known["token"] = pooled if is_pooled else model.layout.n_tokens
        known["d_model"] = 1 if name.endswith("hook_scale") else cfg.d_model
        sizes = {**known, "d_head": 1} if name.endswith("hook_scale") else known
        assert tuple(sizes[axis] for axis in model.axes(name)) == value.shape, name


@law(configs(), st.data(), examples=40)
def test_a_returned_tensor_replaces_the_value(cfg, data):
    model, images = build(cfg), images_for(cfg)
    logits, values = defined(model, images)
    for name in some_of(data, model.hook_names()):
        new = replacement(name, values[name])
        edited = model.run_with_hooks(images, fwd_hooks=[(name, lambda value, hook, new=new: new)])
        assert_equal(edited, defined(model, images, {name: new})[0], name)
        assert unread(cfg, name) or gap(edited, logits) > 1e-6, name


@law(configs(), st.data(), examples=40)
def test_an_in_place_change_replaces_the_value(cfg, data):
    model, images = build(cfg), images_for(cfg)
    values = defined(model, images)[1]
    for name in some_of(data, model.hook_names()):
        new = replacement(name, values[name])
        with torch.no_grad():
            edited = model.run_with_hooks(
                images, fwd_hooks=[(name, lambda value, hook, new=new: void(value.copy_(new)))]
            )
        assert_equal(edited, defined(model, images, {name: new})[0], name)


@law(configs(cls_token=False, n_registers=0, image_size=(2, 3)), st.data(), examples=15)
def test_a_value_that_nothing_reads_changes_nothing(cfg, data):
    model, images = build(cfg), images_for(cfg)
    names = [name for name in model.hook_names() if unread(cfg, name)]
    for name in some_of(data, names):
        edited = model.run_with_hooks(
            images, fwd_hooks=[(name, lambda value, hook: replacement(hook.name, value))]
        )
        assert_equal(edited, model(images), name)


@law(configs())
def test_hooks_that_do_nothing_change_no_bit_of_a_fused_pass(cfg):
    model, images = build(cfg), images_for(cfg)
    names = [name for name in model.hook_names() if not name.endswith(EXPLICIT)]
    silent = model.run_with_hooks(images, fwd_hooks=[(names, lambda value, hook: None)])
    handed_on = model.run_with_hooks(images, fwd_hooks=[(names[:3], lambda value, hook: value)])
    assert torch.equal(handed_on, model(images))
    # Results written head by head sum in another order than one product.
    assert_equal(silent, model(images))
    fused = [name for name in names if not name.endswith("hook_result")]
    silent = model.run_with_hooks(images, fwd_hooks=[(fused, lambda value, hook: None)])
    assert torch.equal(silent, model(images))


@law(configs())
def test_hooks_that_do_nothing_change_explicit_steps_within_rounding_only(cfg):
    model, images = build(cfg), images_for(cfg)
    with model.hooks(fwd_hooks=[(model.hook_names(), lambda value, hook: value)]):
        assert_equal(model(images), defined(model, images)[0])


@law(configs(norm=st.just(None) | configs().map(lambda cfg: cfg.norm)), st.data())
def test_editing_an_input_of_its_own_and_the_shared_norm_in_one_run_raises(cfg, data):
    model, images = build(cfg), images_for(cfg)
    own = data.draw(st.sampled_from(["attn_in", "q_input", "k_input", "v_input"]))
    hooks = [(f"blocks.0.hook_{own}", lambda value, hook: value * 2)]
    norm_points = [name for name in model.hook_names() if name.startswith("blocks.0.ln1.")]
    for point in norm_points:
        edits = [*hooks, (point, lambda value, hook: value * 2)]
        with pytest.raises(HookError, match="describe the input that all heads share"):
            model.run_with_hooks(images, fwd_hooks=edits)
