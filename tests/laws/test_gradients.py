"""The gradients of a run are those of the definition, and leave nothing behind."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._definition import Definition, defined
from tests.laws._models import assert_equal, build, configs, images_for, law, random_like
from tests.laws.test_hook_points import own_and_shared, replacement, some_of
from tests.laws.test_spans import THREE
from vitreous._errors import HookError


def metric_for(model):
    """Something that treats no two outputs alike."""

    def metric(logits):
        return (logits * random_like(logits)).flatten(1).sum(1)

    return metric


def defined_gradients(model, images, names, edits=None):
    """d metric / d value for values by name, through the definition by autograd."""
    values, edits = {}, edits or {}

    def at(name, value):
        value = edits.get(name, value)
        if name in names:
            value = value.view_as(value) if value.requires_grad else value.clone().requires_grad_()
            values[name] = value
        return value

    with torch.enable_grad():
        output = metric_for(model)(Definition(model, at).logits(images)).sum()
        output = output + 0 * torch.zeros((), dtype=output.dtype, requires_grad=True)
    found = torch.autograd.grad(output, [values[name] for name in names], allow_unused=True)
    return {
        name: torch.zeros_like(values[name]) if gradient is None else gradient
        for name, gradient in zip(names, found, strict=True)
    }


def compatible(names):
    """Without points of a shared norm where an input per head is asked for too."""
    own = own_and_shared(names)[0]
    return [name for name in names if not own_and_shared([name])[1] & own]


@law(configs(), st.data(), examples=40)
def test_gradients_are_those_of_the_definition(cfg, data):
    model, images = build(cfg), images_for(cfg)
    names = compatible(some_of(data, model.hook_names(), most=6))
    _, cache = model.run_with_cache(images, names_filter=names, incl_bwd=metric_for(model))
    for name, gradient in defined_gradients(model, images, names).items():
        assert_equal(cache[f"{name}_grad"], gradient, name)
    assert set(cache) == {*names, *(f"{name}_grad" for name in names)}


@law(configs(), st.data(), examples=30)
def test_gradients_behind_an_edit_are_those_of_the_edited_run(cfg, data):
    model, images = build(cfg), images_for(cfg)
    name = data.draw(st.sampled_from(model.hook_names(on_demand=False)))
    edits = {name: replacement(name, defined(model, images)[1][name])}
    hooks = [(name, lambda value, hook: edits[name])]
    names = compatible(some_of(data, model.hook_names(on_demand=False), most=4))
    _, cache = model.run_with_cache(
        images, names_filter=names, fwd_hooks=hooks, incl_bwd=metric_for(model)
    )
    for each, gradient in defined_gradients(model, images, names, edits).items():
        assert_equal(cache[f"{each}_grad"], gradient, each)


@law(configs())
def test_every_default_value_has_its_gradient(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images, incl_bwd=metric_for(model))
    names = model.hook_names(on_demand=False)
    assert list(cache) == [*names, *(f"{name}_grad" for name in names)]
    for name, gradient in defined_gradients(model, images, names).items():
        assert_equal(cache[f"{name}_grad"], gradient, name)


@law(configs(), st.data(), examples=30)
def test_backward_hooks_see_and_replace_the_gradient(cfg, data):
    model, images = build(cfg), images_for(cfg).requires_grad_()
    [name] = some_of(data, model.hook_names(), most=1)
    seen = []
    hooks = [(name, lambda gradient, hook: seen.append(gradient.clone()))]
    output = model.run_with_hooks(images, bwd_hooks=hooks)
    metric_for(model)(output).sum().backward()
    expected = defined_gradients(model, images.detach(), [name])[name]
    assert_equal(seen[0] if seen else torch.zeros_like(expected), expected, name)
    assert len(seen) <= 1


@pytest.mark.parametrize("in_place", [False, True])
def test_a_backward_hook_can_cut_the_gradient(in_place):
    model, images = build(THREE), images_for(THREE).requires_grad_()

    def cut(gradient, hook):
        return None if in_place and gradient.zero_() is not None else torch.zeros_like(gradient)

    with model.hooks(bwd_hooks=[("hook_embed", cut)]):
        model(images).sum().backward()
    assert not images.grad.any()


@pytest.mark.parametrize(
    "name",
    [
        "blocks.1.attn.hook_pattern",
        "blocks.1.hook_q_input",
        "blocks.2.ln2.hook_scale",
        "hook_embed",
    ],
)
def test_gradients_are_slopes(name):
    model, images = build(THREE), images_for(THREE)
    metric, step = metric_for(model), 1e-6
    _, cache = model.run_with_cache(images, names_filter=name, incl_bwd=metric)
    along = random_like(cache[name], seed=5)

    @torch.no_grad()
    def value_at(distance):
        hooks = [(name, lambda value, hook: value + distance * along)]
        return metric(model.run_with_hooks(images, fwd_hooks=hooks)).sum().item()

    slope = (value_at(step) - value_at(-step)) / (2 * step)
    assert slope == pytest.approx((cache[f"{name}_grad"] * along).sum().item(), rel=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("under_no_grad", [False, True])
def test_a_gradient_needs_nothing_of_parameters_and_leaves_nothing_in_them(frozen, under_no_grad):
    model, images = build(THREE).requires_grad_(not frozen), images_for(THREE)
    with torch.set_grad_enabled(not under_no_grad):
        _, cache = model.run_with_cache(images, incl_bwd=metric_for(model))
    expected = defined_gradients(model, images, ["hook_embed"])["hook_embed"]
    assert_equal(cache["hook_embed_grad"], expected)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(value.requires_grad for value in cache.values())


def test_a_scalar_output_can_be_differentiated_as_it_is():
    one_class = THREE.replace(n_classes=1)
    model, images = build(one_class), images_for(one_class, 1)
    _, cache = model.run_with_cache(images, incl_bwd=True)
    _, same = model.run_with_cache(images, incl_bwd=lambda logits: logits[:, 0])
    assert torch.equal(cache["hook_embed_grad"], same["hook_embed_grad"])


def test_a_value_that_the_metric_does_not_depend_on_has_gradient_zero():
    model, images = build(THREE), images_for(THREE)
    cut = [("blocks.2.hook_resid_post", lambda value, hook: torch.zeros_like(value))]
    _, cache = model.run_with_cache(
        images, names_filter="hook_embed", fwd_hooks=cut, incl_bwd=metric_for(model)
    )
    assert not cache["hook_embed_grad"].any()


def test_a_metric_that_leaves_the_graph_raises():
    model, images = build(THREE), images_for(THREE)
    with pytest.raises(ValueError, match="must be differentiable"):
        model.run_with_cache(images, incl_bwd=lambda logits: logits[:, 0].detach())


@pytest.mark.parametrize("own", ["hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input"])
def test_gradients_at_the_shared_norm_and_at_an_input_per_head_exclude_one_another(own):
    model, images = build(THREE), images_for(THREE)
    names = [f"blocks.1.{own}", "blocks.1.ln1.hook_normalized"]
    with pytest.raises(HookError, match="describe the input that all heads share"):
        model.run_with_cache(images, names_filter=names, incl_bwd=metric_for(model))


def test_an_attached_cache_keeps_the_graph():
    model, images = build(THREE), images_for(THREE).requires_grad_()
    _, cache = model.run_with_cache(images, detach=False)
    for name in ("hook_full_embed", "blocks.1.attn.hook_pattern", "blocks.2.hook_resid_post"):
        [gradient] = torch.autograd.grad(cache[name].pow(2).sum(), images, retain_graph=True)
        assert gradient.any(), name
    [position] = torch.autograd.grad(cache["hook_full_embed"].sum(), model.embedding.pos)
    assert position.any()


def test_a_detached_cache_keeps_none():
    model, images = build(THREE), images_for(THREE).requires_grad_()
    _, cache = model.run_with_cache(images)
    assert not any(value.requires_grad for value in cache.values())
    assert not cache["result", 0].requires_grad
