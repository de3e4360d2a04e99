"""Weights by their names: a block's are the model's own, the model's are copies for reading."""

import copy
import re

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
from vitreous.models import FactoredMatrix, NormConfig, PositionConfig
from vitreous.models._part_configs import AttentionConfig

STACKS = ["W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "W_in", "W_out", "b_in", "b_out"]
ATTENTION = [name for name in STACKS if not name.endswith(("in", "out"))]


@law(configs())
def test_values_are_what_the_weights_make_of_their_inputs(cfg):
    assert_weights_are_those_of_a_run(build(cfg))


def patches_of(images, cfg):
    """Pixels of each patch, by channel, frame, row and column."""
    clips = images if cfg.n_frames > 1 else images[:, None]
    (height, width), tubelets = cfg.patch_size, clips.unfold(1, cfg.tubelet, cfg.tubelet)
    patches = tubelets.unfold(3, height, height).unfold(4, width, width)
    # [batch frames channels rows columns tubelet height width]
    return patches.permute(0, 1, 3, 4, 2, 5, 6, 7).flatten(4).flatten(1, 3)


def read_by(cache, layer, names):
    """What all heads of an attention read."""
    has_norm = cache.model.cfg.norm is not None
    local = f"{names.norm}.hook_normalized" if has_norm else names.reads
    return cache[f"blocks.{layer}.{local}"]


def assert_weights_are_those_of_a_run(model):
    """Every weight that has a name, held against what a forward pass makes of its inputs."""
    cfg = model.cfg
    images = images_for(cfg)
    _, cache = model.run_with_cache(images)
    embedded = cache["hook_embed"][:, model.layout.n_prefix :]
    if cfg.patch_norm is not None:
        embedded = cache["embedding.hook_patches"]
    if cfg.stem:
        with pytest.raises(ValueError, match="`W_E` needs patches that are embedded by one linear"):
            _ = model.W_E
    else:
        patches = patches_of(images, cfg)
        assert_equal(embedded, patches @ model.W_E + model.b_E)
    if cfg.position is not None:
        assert torch.equal(model.W_pos, cache["hook_pos_embed"][0])
    for i, block in enumerate(model.blocks):
        for names in block.attentions:
            attn, x = block.attention(names), read_by(cache, i, names)
            for letter in "QKV":
                projected = torch.einsum("btm,hmd->bthd", x, getattr(attn, f"W_{letter}"))
                expected = projected + getattr(attn, f"b_{letter}")
                assert_equal(cache[letter.lower(), i, names.attn], expected)
        if not block.attn.norms_of_output:
            written = torch.einsum("bthd,hdm->btm", cache["z", i], model.W_O[i]) + model.b_O[i]
            assert_equal(cache["attn_out", i], written)
        if not block.attn.norms_of_output:
            assert_equal(block.attn.OV.AB, model.W_V[i] @ model.W_O[i])
        if not cfg.attn_only:
            read = {"ln1": cache["resid_pre", i]} if cfg.parallel else {"ln2": cache["mlp_in", i]}
            [(norm, mid)] = read.items()
            mid = mid if cfg.norm is None else cache["normalized", i, norm]
            mid = mid if cfg.mlp_in_norm is None else cache["normalized", i, "mlp.in_norm"]
            assert_equal(cache["pre", i], mid @ model.W_in[i] + model.b_in[i])
            if cfg.out_norm is None:
                said = cache["post", i] @ model.W_out[i] + model.b_out[i]
                assert_equal(cache["mlp_out", i], said)
    if cfg.n_classes is not None and not model.pooling.reads_distillation:
        features = model(images, return_type="pre_logits")
        assert_equal(features @ model.W_U + model.b_U, model(images))


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
    x = read_by(cache, 0, model.blocks[0].attentions[-1])
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
    elif not (parts.qkv_bias or parts.causal or parts.relative_bias or cfg.divides_space_time):
        scores = torch.einsum("bqm,hmn,bkn->bhqk", x, model.QK.AB[0], x) * cfg.d_head**-0.5
        assert_equal(cache["attn_scores", 0], scores)


def weights_of(owner):
    """Everything with the name of a weight or bias, and the factors of QK and OV."""
    names = {n for kind in type(owner).__mro__ for n, v in vars(kind).items() if is_property(v)}
    for name in sorted(names):
        try:
            value = getattr(owner, name) if re.fullmatch("[Wb]_.*|QK|OV", name) else None
        except ValueError:  # a weight that this model doesn't have
            continue
        if isinstance(value, FactoredMatrix):
            yield from ((f"{name}.{factor}", getattr(value, factor)) for factor in "AB")
        elif value is not None:
            yield name, value


def is_property(value) -> bool:
    return isinstance(value, property)


def read(owner, name):
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def test_the_weights_with_a_name_are_found():
    model = build(THREE)
    found = {name for name, _ in weights_of(model)}
    assert found == {*STACKS, "W_E", "b_E", "W_pos", "W_U", "b_U", "QK.A", "QK.B", "OV.A", "OV.B"}
    assert {name for name, _ in weights_of(model.blocks[0].attn)} == {
        *ATTENTION, "QK.A", "QK.B", "OV.A", "OV.B"
    }  # fmt: skip
    assert {name for name, _ in weights_of(model.blocks[0].mlp)} == {*STACKS} - {*ATTENTION}


@law(configs())
def test_what_is_written_to_a_weight_changes_what_is_computed_or_raises(cfg):
    model = build(cfg)
    parts = [part for block in model.blocks for part in (block.attn, block.mlp) if part]
    for owner in (model, *parts):
        for name, value in weights_of(owner):
            before = [parameter.clone() for parameter in model.parameters()]
            news = 1 - 2 * value  # another number everywhere but at 1/3
            refused = refusal_to_write(value, news)
            after = list(model.parameters())
            changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            assert sum(changed) == (refused is None), (name, refused)
            assert refused or torch.equal(read(owner, name), news), name
    assert_weights_are_those_of_a_run(model)


def refusal_to_write(value, news) -> str | None:
    try:
        with torch.no_grad():
            value[...] = news
    except HookError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", STACKS)
def test_stacks_are_cached_without_gradient_and_refuse_to_be_written_to(name):
    model = build(THREE)
    stack = getattr(model, name)
    assert getattr(model, name) is stack and not stack.requires_grad
    assert len(stack) == 3
    before = stack.clone()
    part = "mlp" if name.endswith(("in", "out")) else "attn"
    with pytest.raises(HookError) as error:
        stack[0] = 1
    assert str(error.value) == (
        f"`model.{name}` is a copy for reading; got a write, which would change nothing in the "
        f"model. Write to the block's own, `model.blocks[layer].{part}.{name}`."
    )
    assert torch.equal(getattr(model, name), before)


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"patch_bias": False}, "b_E", "this model has no such bias. Build one with `patch_bias=T"),
        ({"head_bias": False}, "b_U", "this model has no such bias. Build one with `head_bias=Tr"),
        ({"mlp_bias": False}, "blocks.0.mlp.b_in", "Build one with `mlp_bias=True` in its conf"),
        ({"mlp_bias": False}, "blocks.0.mlp.b_out", "Build one with `mlp_bias=True` in its conf"),
        ({"layer_scale": True}, "blocks.0.mlp.W_out", "here it is one times a LayerScale gain. Wr"),
        ({"layer_scale": True}, "blocks.0.mlp.b_out", "Write to `fc_out.bias` or `gain`, or take"),
        ({"layer_scale": True}, "blocks.0.attn.W_O", "Write to `out.weight` or `gain`, or take `f"),
        ({"layer_scale": True}, "blocks.0.attn.b_O", "Write to `out.bias` or `gain`, or take `fol"),
        ({"position": PositionConfig("sincos")}, "W_pos", "they are computed here. Use `PositionC"),
        ({"position": PositionConfig(prefix=False)}, "W_pos", "Write to `model.embedding.pos`."),
    ],
)
def test_a_weight_that_is_no_parameter_says_where_to_write(changes, name, why):
    value = build(THREE.replace(**changes)).get_submodule(name.rpartition(".")[0])
    with pytest.raises(HookError, match=re.escape(why)):
        getattr(value, name.rpartition(".")[2]).zero_()


def test_an_embedding_in_another_order_of_memory_refuses_too():
    model = build(THREE).to(memory_format=torch.channels_last)
    assert_weights_are_those_of_a_run(model)
    with pytest.raises(HookError, match="must lie in memory by channel, row, column to be written"):
        model.W_E[0] = 1


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
    with pytest.raises(HookError, match="this model has no such bias"):
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
