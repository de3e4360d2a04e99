"""What neurons say by way of later heads: the definition, and a run in which all else is held."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.decomposition import second_order_shares
from vitreous.models import AttentionConfig, NormConfig

WITH_MLP = {name: changes for name, changes in READOUTS.items() if changes.get("d_mlp", 1)}


def numbers(values):
    return values.detach().numpy()


def by_brute_force(model, images, target, layer):
    """Forms what every neuron wrote at every token, and takes it through every later head."""
    cache = model.run_with_cache(images)[1]
    writes = cache.get_neuron_results(layer)  # [images tokens neurons d_model]
    weights = target.readout(cache).weights
    columns = []
    for layer_to in range(model.cfg.n_layers):
        block = model.blocks[layer_to]
        for names in block.attentions:
            attn, norm, at = block.attention(names), block.norm_of(names), f"blocks.{layer_to}."
            if layer_to <= layer:
                columns += [torch.zeros(len(images), writes.shape[2])] * attn.n_heads
                continue
            scale = None if norm is None else cache[f"{at}{names.norm}.hook_scale"][:, :, None]
            entering = writes if norm is None else norm.linear(writes, scale)
            pattern = cache[f"{at}{names.attn}.hook_pattern"]
            for head in range(attn.n_heads):
                v = entering @ attn.W_V[head]
                z = torch.zeros(*v.shape[:3], attn.n_heads, attn.d_head, dtype=v.dtype)
                z[..., head, :] = torch.einsum("bqk,bknd->bqnd", pattern[:, head], v)
                scales = {
                    name: cache[f"{at}{names.attn}.{name}.hook_scale"]
                    for name in attn.norms_of_output
                }
                written = torch.stack(
                    [attn.results(z[:, :, n], scales).sum(2) for n in range(z.shape[2])], 2
                )
                columns.append((written * weights[:, :, None]).sum((1, 3)))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("readout", WITH_MLP)
def test_the_factorised_form_is_the_brute_force(readout):
    model = random_model(**WITH_MLP[readout])
    images, target = images_of(model), model.target(1, minus=(2, 3))
    found = second_order_shares(model, images, target, by="neuron_and_head")
    for layer in range(2):
        chosen = found.where((found["layer"] == layer) & (found["kind"] == "neuron"), drop=True)
        expected = numbers(by_brute_force(model, images, target, layer))
        np.testing.assert_allclose(chosen, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("readout", WITH_MLP)
def test_heads_and_tokens_add_up_to_neurons(readout):
    model = random_model(**WITH_MLP[readout])
    images = images_of(model)
    whole = second_order_shares(model, images, 1)
    for by, dim in (("neuron_and_head", "through"), ("neuron_and_token", "token")):
        found = second_order_shares(model, images, 1, by=by)
        np.testing.assert_allclose(found.sum(dim), whole, rtol=1e-10, atol=1e-10)


def held_but_for(model, cache, layer, moved):
    """Hooks that hold patterns, scales and MLPs, and move what later heads' values are made of."""
    held = ["ln_final.hook_scale", "pooling.map.hook_pattern", "pooling.map.hook_mlp_out"]
    held += ["pooling.map.out_norm.hook_scale"]
    for later in range(layer + 1, model.cfg.n_layers):
        at = f"blocks.{later}"
        held += [f"{at}.hook_mlp_out"]
        for attn in ("attn", "attn_time"):
            held += [f"{at}.{attn}.{name}.hook_scale" for name in ("z_norm", "out_norm")]
            held += [f"{at}.{attn}.hook_pattern"]
    hooks = [
        (name, lambda value, hook: cache[hook.name]) for name in held if name in model.hook_dict
    ]
    for later in range(layer + 1, model.cfg.n_layers):
        block = model.blocks[later]
        for names in block.attentions:
            norm, at = block.norm_of(names), f"blocks.{later}.{names.norm}"
            scale = None if norm is None else cache[f"{at}.hook_scale"]
            delta = moved if norm is None else norm.linear(moved, scale)
            values = cache[f"blocks.{later}.{names.attn}.hook_v"]
            W_V = block.attention(names).W_V
            values = values + torch.einsum("bkm,hmd->bkhd", delta, W_V)
            name = f"blocks.{later}.{names.attn}.hook_v"
            hooks.append((name, lambda v, hook, values=values: values))
    return hooks


@pytest.mark.parametrize("readout", WITH_MLP)
def test_a_share_is_what_the_target_loses_when_later_heads_alone_miss_the_neuron(readout):
    model = random_model(**WITH_MLP[readout])
    images, layer, neuron = images_of(model), 0, 3
    logits, cache = model.run_with_cache(images)
    written = cache.get_neuron_results(layer, [neuron])[:, :, 0]
    without = model.run_with_hooks(images, fwd_hooks=held_but_for(model, cache, layer, -written))
    lost = numbers((logits - without)[:, 1])
    found = second_order_shares(model, images, 1).sel(component=f"L{layer}N{neuron}")
    np.testing.assert_allclose(found, lost, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("readout", WITH_MLP)
def test_neurons_and_their_bias_make_what_the_whole_mlp_says(readout):
    model = random_model(**WITH_MLP[readout])
    images, layer = images_of(model), 1
    logits, cache = model.run_with_cache(images)
    hooks = held_but_for(model, cache, layer, -cache["mlp_out", layer])
    lost = numbers((logits - model.run_with_hooks(images, fwd_hooks=hooks))[:, 1])
    found = second_order_shares(model, images, 1, layers=[layer])
    np.testing.assert_allclose(found.sum("component"), lost, rtol=1e-9, atol=1e-10)


def test_heads_that_come_too_early_say_nothing():
    found = second_order_shares(random_model(), random_images(), 0, by="neuron_and_head")
    early = found["layer_to"] <= found["layer"]
    assert (found.where(early, 0) == 0).all()
    assert (abs(found.where(~early & (found["kind"] == "neuron"), 1)) > 0).all()
    assert found.dims == ("image", "component", "through")
    assert found["through"].values[5] == "L1H1"


def test_layers_are_those_asked_for():
    model, images = random_model(), random_images()
    one = second_order_shares(model, images, 0, layers=[1])
    both = second_order_shares(model, images, 0)
    assert set(one["layer"].values) == {1} and set(both["layer"].values) == {0, 1}
    np.testing.assert_array_equal(one, both.sel(component=one["component"]))


def test_a_data_set_is_streamed_with_one_target_each():
    model, images = random_model(), random_images(5)
    targets = [0, 1, 2, 3, 4]
    whole = second_order_shares(model, images, targets, cache=model.run_with_cache(images)[1])
    streamed = second_order_shares(model, Images.from_tensor(images, batch_size=2), targets)
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-12)


def test_a_model_with_norms_of_many_kinds_and_no_later_mlp_agrees():
    model = random_model(
        out_norm=NormConfig("rms"),
        attention=AttentionConfig(z_norm=NormConfig("rms")),
        layer_scale=True,
        n_registers=1,
    )
    images, target = images_of(model), model.target(2)
    found = second_order_shares(model, images, target, by="neuron_and_head", layers=[0])
    expected = numbers(by_brute_force(model, images, target, 0))
    np.testing.assert_allclose(found[:, :-1], expected, rtol=1e-10, atol=1e-10)
