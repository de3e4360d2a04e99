"""Weights by their names: a block's are the model's own, the model's are copies for reading."""

import copy

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from tests.laws._models import (
    assert_equal,
    attentions,
    build,
    configs,
    images_for,
    law,
    random_like,
)
from tests.laws.test_spans import THREE
from vitreous._errors import HookError
from vitreous.models import NormConfig
from vitreous.models._config import AttentionConfig

STACKS = ["W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "W_in", "W_out", "b_in", "b_out"]
ATTENTION = [name for name in STACKS if not name.endswith(("in", "out"))]


@law(configs())
def test_values_are_what_the_weights_make_of_their_inputs(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images)
    embedded = cache["hook_embed"][:, model.layout.n_prefix :]
    if cfg.patch_norm is not None:
        embedded = cache["embedding.hook_patches"]
    if cfg.stem:
        with pytest.raises(ValueError, match="`W_E` needs patches that are embedded by one linear"):
            _ = model.W_E
    else:
        patches = torch.nn.functional.unfold(images, cfg.patch_size, stride=cfg.patch_size).mT
        assert_equal(embedded, patches @ model.W_E + model.b_E)
    for i in range(cfg.n_layers):
        x = cache["resid_pre", i] if cfg.norm is None else cache["normalized", i, "ln1"]
        for letter in "QKV":
            projected = torch.einsum("btm,hmd->bthd", x, getattr(model, f"W_{letter}")[i])
            expected = projected + getattr(model, f"b_{letter}")[i]
            assert_equal(cache[letter.lower(), i], expected)
        if not model.blocks[i].attn.norms_of_output:
            written = torch.einsum("bthd,hdm->btm", cache["z", i], model.W_O[i]) + model.b_O[i]
            assert_equal(cache["attn_out", i], written)
        if not cfg.attn_only:
            read = {"ln1": cache["resid_pre", i]} if cfg.parallel else {"ln2": cache["mlp_in", i]}
            [(norm, mid)] = read.items()
            mid = mid if cfg.norm is None else cache["normalized", i, norm]
            mid = mid if cfg.mlp_in_norm is None else cache["normalized", i, "mlp.in_norm"]
            assert_equal(cache["pre", i], mid @ model.W_in[i] + model.b_in[i])
            if cfg.out_norm is None:
                said = cache["post", i] @ model.W_out[i] + model.b_out[i]
                assert_equal(cache["mlp_out", i], said)


@law(configs())
def test_the_unembedding_turns_features_into_logits(cfg):
    model, images = build(cfg), images_for(cfg)
    if cfg.n_classes is None:
        with pytest.raises(
            ValueError, match="`W_U` needs a head; got a model that returns features"
        ):
            _ = model.W_U
    elif not model.pooling.reads_distillation:
        features = model(images, return_type="pre_logits")
        assert_equal(features @ model.W_U + model.b_U, model(images))
        directions = model.tokens_to_residual_directions([0, 2])
        assert torch.equal(directions, model.W_U[:, [0, 2]].T)


@law(configs())
def test_positions_are_what_is_added_to_each_token(cfg):
    model = build(cfg)
    if cfg.position is None:
        with pytest.raises(ValueError, match="`W_pos` needs a position embedding"):
            _ = model.W_pos
    else:
        _, cache = model.run_with_cache(images_for(cfg, 1))
        assert torch.equal(model.W_pos, cache["hook_pos_embed"][0])


@law(configs())
def test_qk_and_ov_are_what_heads_compute(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images)
    x = cache["resid_pre", 0] if cfg.norm is None else cache["normalized", 0, "ln1"]
    owners, parts = (model, model.blocks[0].attn), cfg.attention
    if parts.z_norm is not None or cfg.out_norm is not None:
        for owner in owners:
            with pytest.raises(ValueError, match="got a model that normalizes what its heads"):
                _ = owner.OV
    else:
        heads = torch.einsum("btm,hmn->bthn", x, model.OV.AB[0])
        moved = torch.einsum("bhqk,bkhm->bqhm", cache["pattern", 0], heads)
        constant = torch.einsum("hd,hdm->hm", model.b_V[0], model.W_O[0])
        assert_equal(cache["result", 0], moved + constant)
        assert_equal(model.blocks[0].attn.OV.AB, model.OV[0].AB)
    if parts.qk_norm is not None or parts.rotary is not None:
        does = "turns" if parts.qk_norm is None else "normalizes"
        for owner in owners:
            with pytest.raises(ValueError, match=f"got a model that {does} queries and keys"):
                _ = owner.QK
    elif not (parts.qkv_bias or parts.causal or parts.relative_bias):
        scores = torch.einsum("bqm,hmn,bkn->bhqk", x, model.QK.AB[0], x) * cfg.d_head**-0.5
        assert_equal(cache["attn_scores", 0], scores)


@pytest.mark.parametrize("name", [n for n in STACKS if n not in ("W_in", "W_out", "b_in", "b_out")])
def test_writing_to_a_blocks_view_changes_the_model(name):
    model, images = build(THREE), images_for(THREE)
    before = model(images)
    stack = getattr(model, name)
    with torch.no_grad():
        getattr(model.blocks[1].attn, name).mul_(1.5)
    changed = getattr(model, name)
    assert_equal(changed[1], stack[1] * 1.5)
    assert torch.equal(changed[0], stack[0])
    # A bias of all keys alike moves every score of a query alike, which the softmax can't tell.
    assert name == "b_K" or not torch.allclose(model(images), before)


@pytest.mark.parametrize("name", ["W_in", "W_out", "b_in", "b_out"])
def test_writing_to_an_mlps_view_changes_the_model(name):
    model, images = build(THREE), images_for(THREE)
    before, stack = model(images), getattr(model, name)
    with torch.no_grad():
        getattr(model.blocks[2].mlp, name).mul_(1.5)
    assert_equal(getattr(model, name)[2], stack[2] * 1.5)
    assert not torch.allclose(model(images), before)


@pytest.mark.parametrize("name", STACKS)
def test_stacks_are_cached_without_gradient_and_refuse_to_be_written_to(name):
    model = build(THREE)
    stack = getattr(model, name)
    assert getattr(model, name) is stack and not stack.requires_grad
    assert len(stack) == 3
    stack.mul_(2)
    with pytest.raises(
        HookError, match=rf"`model\.{name}` is a copy for reading; it was written to"
    ):
        getattr(model, name)
    assert_equal(getattr(model, name), stack / 2)


def test_stacks_follow_an_optimizer():
    model = build(THREE)
    before = model.W_Q
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images_for(THREE)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.W_Q, before)
    assert torch.equal(model.W_Q[1], model.blocks[1].attn.W_Q)


def load(model):
    model.load_state_dict(build(THREE, seed=5).state_dict())


def assign(model):
    model.load_state_dict(build(THREE, seed=5).state_dict(), assign=True)


def replace(model):
    model.blocks[1].attn.qkv.weight = nn.Parameter(torch.ones(24, 8).double())


def there_and_back(model):
    model.half().double()


@torch.no_grad()
def write(model):
    model.blocks[2].attn.W_Q[1] += 1


@torch.inference_mode()
def write_in_inference_mode(model):
    model.blocks[2].attn.W_Q[1] += 1


@pytest.mark.parametrize(
    "change", [load, assign, replace, there_and_back, write, write_in_inference_mode]
)
def test_stacks_follow_every_other_change(change):
    model = build(THREE)
    before = model.W_Q
    change(model)
    assert not torch.equal(model.W_Q, before)
    assert torch.equal(model.W_Q, torch.stack([block.attn.W_Q for block in model.blocks]))


def test_a_copy_has_stacks_of_its_own():
    model = build(THREE)
    before = model.W_Q.clone()
    other = copy.deepcopy(model)
    write(other)
    assert torch.equal(other.W_Q, torch.stack([block.attn.W_Q for block in other.blocks]))
    assert torch.equal(model.W_Q, before)


def test_stacks_can_be_read_in_inference_mode_and_used_outside_of_it():
    model = build(THREE)
    with torch.inference_mode():
        assert model.W_O is model.W_O
        assert_equal(model.OV.AB, model.W_V @ model.W_O)
    mask = torch.ones(3, 2, 4, 8, dtype=torch.float64, requires_grad=True)
    (model.W_O * mask).sum().backward()
    assert torch.equal(mask.grad, model.W_O)


def test_stacks_of_a_model_made_in_inference_mode_follow_its_changes():
    with torch.inference_mode():
        model = build(THREE)
        before = model.W_Q
        write(model)
        assert not torch.equal(model.W_Q, before)


def test_accumulated_biases_stop_at_the_last_layer():
    model = build(THREE)
    for layer, keywords in ((4, {}), (-1, {}), (3, {"mlp_input": True})):
        with pytest.raises(ValueError, match=rf"`layer` must lie in 0\.\.[23]; got {layer}\."):
            model.accumulated_bias(layer, **keywords)


def test_stacks_follow_a_change_of_dtype():
    model = build(THREE)
    _ = model.W_Q
    assert model.float().W_Q.dtype == torch.float32


def test_gradients_flow_into_a_blocks_views():
    model = build(THREE)
    model(images_for(THREE)).sum().backward()
    attn = model.blocks[0].attn
    [through_view] = torch.autograd.grad((attn.W_Q * 2).sum(), attn.qkv.weight)
    assert through_view[:8].eq(2).all() and not through_view[8:].any()


@pytest.mark.parametrize(
    "changes", [{"out_norm": NormConfig()}, {"attention": AttentionConfig(z_norm=NormConfig())}]
)
def test_biases_that_depend_on_the_token_do_not_accumulate_to_one(changes):
    with pytest.raises(ValueError, match="`accumulated_bias` needs outputs whose bias is"):
        build(THREE.replace(**changes)).accumulated_bias(1)


PLAIN = attentions(turns=True, offsets=False, z_norm=st.none())


@law(configs(out_norm=None, parallel=False, attention=PLAIN, d_head=st.sampled_from([None, 6])))
def test_accumulated_biases_are_what_parts_write_without_inputs(cfg):
    model = build(cfg)
    for layer in range(cfg.n_layers + 1):
        expected = model.b_O[:layer].sum(0)
        assert_equal(model.accumulated_bias(layer, include_mlp_biases=False), expected)
        if not cfg.attn_only:
            expected = expected + model.b_out[:layer].sum(0)
        assert_equal(model.accumulated_bias(layer), expected)
        if layer < cfg.n_layers:
            expected = expected + model.b_O[layer]
            assert_equal(model.accumulated_bias(layer, mlp_input=True), expected)


def test_biases_that_are_not_there_are_zero_and_can_not_be_written_to():
    bare = THREE.replace(attention=AttentionConfig(qkv_bias=False, out_bias=False), mlp_bias=False)
    model = build(bare)
    for name in STACKS:
        if name.startswith("b_"):
            assert not getattr(model, name).any()
    with pytest.raises(RuntimeError, match="more than one element"):
        model.blocks[0].attn.b_Q.add_(1)


def test_heads_have_labels_in_the_order_of_the_stacks():
    assert build(THREE).all_head_labels() == ["L0H0", "L0H1", "L1H0", "L1H1", "L2H0", "L2H1"]


def test_weights_of_mlps_need_mlps():
    with pytest.raises(ValueError, match="MLP weights need MLPs; got an attention-only model"):
        _ = build(THREE.replace(d_mlp=None)).W_in


def test_an_mlps_layer_scale_is_in_its_weights():
    scaled = THREE.replace(layer_scale=True, norm=NormConfig("rms"))
    model = build(scaled)
    block = model.blocks[0]
    x = random_like(torch.empty(1, 4, 8, dtype=torch.float64))
    post = block.mlp.activation(x @ model.W_in[0] + model.b_in[0])
    assert_equal(block.mlp(x), post @ model.W_out[0] + model.b_out[0])
