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


def own_and_shared(names):
    """The attentions with inputs per head among these points, and those with their shared norm."""
    marks = {"_time_input": "time", "_time_in": "time", "_input": "", "_attn_in": ""}
    own, shared = set(), set()
    for name in names:
        block, _, local = name.rpartition(".")
        kind = next((kind for end, kind in marks.items() if local.endswith(end)), None)
        own |= {(block, kind)} if kind is not None else set()
        block, _, norm = block.rpartition(".")
        shared |= {(block, "time" if norm == "ln_time" else "")} if norm.startswith("ln") else set()
    return own, shared


def unread(cfg, name):
    """Whether nothing depends on a value: the only key that a token sees gets all attention."""
    reads_first = cfg.pooling.kind == "first"
    reads_first |= cfg.pooling.kind == "cls" and not cfg.distillation_token
    sees_itself = cfg.attention.causal and reads_first
    last = name.rsplit(".", 1)[-1]
    chooses_keys = last in ("hook_q", "hook_k", "hook_q_input", "hook_k_input") or "_rot_" in last
    chooses_keys |= ".q_norm." in name or ".k_norm." in name
    if cfg.divides_space_time and chooses_keys:
        sees_itself |= "_time" in name and cfg.places[0] == 1
        sees_itself |= "_time" not in name and not cfg.n_prefix and cfg.grid == (1, 1)
    if build(cfg).layout.n_tokens == 1:
        return chooses_keys or last == "hook_attn_scores"
    return sees_itself and chooses_keys


@law(configs())
def test_every_point_fires_exactly_once_and_in_the_order_of_hook_names(cfg):
    model, fired = build(cfg), []
    model.run_with_hooks(
        images_for(cfg),
        fwd_hooks=[(model.hook_names(), lambda value, hook: fired.append(hook.name))],
    )
    assert fired == model.hook_names()


def sizes_of(model, name):
    """How long each dimension is at a point, for three images."""
    cfg, n_tokens = model.cfg, model.layout.n_tokens
    sizes = {"image": 3, "head": cfg.n_heads, "d_head": cfg.d_head, "neuron": cfg.d_mlp}
    sizes |= {"query": n_tokens, "key": n_tokens, "token": n_tokens, "d_model": cfg.d_model}
    sizes |= {"patch": model.layout.n_patches, "width": cfg.n_heads * cfg.d_head}
    width = cfg.pooling.map.d_out if cfg.pooling.map else cfg.d_model
    width *= 2 if cfg.pooling.kind == "cls_mean" else 1
    sizes |= {"d_pooled": width, "label": cfg.n_classes or width}
    if "ln_final" in name and not (cfg.pooling.norm_first or cfg.pooling.kind == "none"):
        sizes["token"] = 1 + (cfg.pooling.kind == "cls" and cfg.distillation_token)
    if name.startswith("pooling.map."):
        parts, of_keys = cfg.pooling.map, ("hook_k", "hook_v", ".k_norm.")
        sizes |= {"head": parts.n_heads, "d_head": parts.d_head, "neuron": parts.d_mlp, "query": 1}
        sizes |= {} if any(each in name for each in of_keys) else {"token": 1}
    return sizes


@law(configs())
def test_the_dimensions_of_every_value_are_what_axes_says(cfg):
    model, images = build(cfg), images_for(cfg, 3)
    for name, value in defined(model, images)[1].items():
        sizes = sizes_of(model, name)
        if name.endswith("hook_scale"):
            sizes |= dict.fromkeys(("d_model", "d_head", "d_pooled", "width", "neuron"), 1)
        assert tuple(sizes[axis] for axis in model.axes(name)) == value.shape, name


@law(configs(), st.data(), examples=40)
def test_a_returned_tensor_replaces_the_value(cfg, data):
    model, images = build(cfg), images_for(cfg)
    logits, values = defined(model, images)
    for name in some_of(data, model.hook_names()):
        new = replacement(name, values[name])
        edited = model.run_with_hooks(images, fwd_hooks=[(name, lambda value, hook, new=new: new)])
        assert_equal(edited, defined(model, images, {name: new})[0], name)
        assert unread(cfg, name) or gap(edited, logits) > 1e-9, name


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


@law(configs(cls_token=False, n_registers=0, image_size=(2, 3), n_frames=1), st.data(), examples=15)
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
    names = data.draw(st.sampled_from(model.blocks[0].attentions))
    own = data.draw(st.sampled_from([names.enters, *map(names.input, "qkv")]))
    hooks = [(f"blocks.0.{own}", lambda value, hook: value * 2)]
    norm_points = [name for name in model.hook_names() if f"blocks.0.{names.norm}." in name]
    for point in norm_points:
        edits = [*hooks, (point, lambda value, hook: value * 2)]
        with pytest.raises(HookError, match="describe the input that all heads share"):
            model.run_with_hooks(images, fwd_hooks=edits)
