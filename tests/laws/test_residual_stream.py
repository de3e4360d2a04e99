"""The stream is a sum, and every way of taking it apart adds up to it again."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import (
    assert_equal,
    build,
    configs,
    images_for,
    law,
    mlp_configs,
    norms,
    pooled_configs,
    random_like,
    sequential_configs,
)
from tests.laws.test_spans import THREE
from vitreous._errors import HookError
from vitreous.models import AttentionConfig, MapConfig, NormConfig, PoolingConfig

POSITIONS = st.sampled_from(["all", "readout", "patches", 0, -1, [0, -1], (0, 0, 0), [0, 0]])


def run(cfg, **keywords):
    model = build(cfg)
    images = images_for(cfg, 1 if keywords.get("remove_batch_dim") else 2)
    logits, cache = model.run_with_cache(images, **keywords)
    return model, logits, cache


def at(value, cache, positions):
    """The tokens of a value that `positions` means."""
    return value[..., cache.layout.select(positions), :]


def into(cache, layer):
    return (
        cache["resid_post", -1] if layer == cache.model.cfg.n_layers else cache["resid_pre", layer]
    )


def layers(data, cfg):
    return data.draw(st.integers(0, cfg.n_layers), label="layer")


@law(configs())
def test_a_block_adds_exactly_what_its_parts_write(cfg):
    model, _, _ = run(cfg)
    _, cache = model.run_with_cache(images_for(cfg), names_filter="blocks.*")
    for i in range(cfg.n_layers):
        middle = cache["resid_pre", i]
        if cfg.divides_space_time:
            middle = middle + cache["attn_time_out", i]
            assert torch.equal(middle, cache["resid_time", i])
        middle = middle + cache["attn_out", i]
        if cfg.has_resid_mid:
            assert torch.equal(middle, cache["resid_mid", i])
        if not cfg.attn_only:
            middle = middle + cache["mlp_out", i]
        assert torch.equal(middle, cache["resid_post", i])


@law(configs())
def test_embedding_and_positions_add_up_token_by_token(cfg):
    _, _, cache = run(cfg)
    parts = [cache["hook_embed"]] + ([cache["hook_pos_embed"]] if cfg.position else [])
    assert torch.equal(sum(parts), cache["hook_full_embed"])


@law(configs(), st.data(), POSITIONS, st.booleans())
def test_layers_add_up_to_the_stream(cfg, data, positions, single):
    _, _, cache = run(cfg, remove_batch_dim=single)
    layer = layers(data, cfg)
    rows, labels = cache.decompose_resid(
        layer, positions=positions, incl_bias=True, return_labels=True
    )
    assert_equal(rows.sum(0), at(into(cache, layer), cache, positions))
    per_layer = 1 + cfg.divides_space_time + (not cfg.attn_only)
    assert len(labels) == len(rows) == 1 + bool(cfg.position) + per_layer * layer + 1


@law(sequential_configs(), st.data(), POSITIONS)
def test_layers_add_up_to_what_an_mlp_reads(cfg, data, positions):
    _, _, cache = run(cfg)
    layer = data.draw(st.integers(0, cfg.n_layers - 1))
    rows = cache.decompose_resid(layer, mlp_input=True, positions=positions, incl_bias=True)
    assert_equal(rows.sum(0), at(cache["resid_mid", layer], cache, positions))


@law(configs(), st.data(), POSITIONS, st.sampled_from(["all", "attn", "mlp"]), st.booleans())
def test_the_remainder_makes_any_choice_of_layers_add_up(cfg, data, positions, mode, embeds):
    _, _, cache = run(cfg)
    layer = layers(data, cfg)
    rows, labels = cache.decompose_resid(
        layer, mode=mode, incl_embeds=embeds, incl_remainder=True, positions=positions,
        return_labels=True,
    )  # fmt: skip
    assert labels[-1] == "remainder"
    assert_equal(rows.sum(0), at(into(cache, layer), cache, positions))


@law(configs(), st.data(), POSITIONS, st.booleans())
def test_heads_and_the_rest_add_up_to_the_stream(cfg, data, positions, single):
    _, _, cache = run(cfg, remove_batch_dim=single)
    layer = layers(data, cfg)
    rows, labels = cache.stack_head_results(
        layer, positions=positions, incl_remainder=True, return_labels=True
    )
    kinds = "TH" if cfg.divides_space_time else "H"
    heads = [f"L{i}{kind}{h}" for i in range(layer) for kind in kinds for h in range(cfg.n_heads)]
    assert labels == [*heads, "remainder"]
    assert cfg.divides_space_time or heads == cache.model.all_head_labels()[: len(heads)]
    assert_equal(rows.sum(0), at(into(cache, layer), cache, positions))


@law(configs(), POSITIONS)
def test_heads_of_a_layer_and_its_bias_add_up_to_what_attention_writes(cfg, positions):
    model, _, cache = run(cfg)
    written = cache.stack_head_results(positions=positions).split(cfg.n_heads)
    attentions = [(i, each) for i, block in enumerate(model.blocks) for each in block.attentions]
    for (i, names), heads in zip(attentions, written, strict=True):
        result, adds = f"blocks.{i}.{names.attn}.hook_result", f"blocks.{i}.{names.adds}"
        silence = [(result, lambda value, hook: torch.zeros_like(value))]
        _, silent = model.run_with_cache(images_for(cfg), fwd_hooks=silence)
        bias = at(silent[adds], cache, positions)
        if not (cfg.out_norm or cfg.attention.z_norm):
            takes_part = torch.ones(cache.layout.n_tokens, 1, dtype=torch.float64)
            takes_part[: cfg.n_prefix] = names.attn == "attn"  # a prefix has no place in time
            expected = at(takes_part * model.blocks[i].attention(names).b_O, cache, positions)
            assert_equal(bias, expected.expand(bias.shape))
        assert_equal(heads.sum(0) + bias, at(cache[adds], cache, positions))
        assert_equal(heads.movedim(0, 2), cache[result][:, cache.layout.select(positions)])


@law(mlp_configs(), st.data(), POSITIONS, st.booleans())
def test_neurons_and_the_rest_add_up_to_the_stream(cfg, data, positions, single):
    _, _, cache = run(cfg, remove_batch_dim=single)
    layer = layers(data, cfg)
    rows = cache.stack_neuron_results(
        layer, neuron_slice=slice(0, 4), positions=positions, incl_remainder=True
    )
    assert len(rows) == 4 * layer + 1
    assert_equal(rows.sum(0), at(into(cache, layer), cache, positions))


@law(mlp_configs(out_norm=None), st.data(), POSITIONS)
def test_neurons_of_a_layer_and_its_bias_add_up_to_what_the_mlp_writes(cfg, data, positions):
    model, _, cache = run(cfg)
    layer = data.draw(st.integers(-cfg.n_layers, cfg.n_layers - 1))
    neurons = cache.get_neuron_results(layer, positions=positions)
    written = neurons.sum(-2) + model.b_out[layer]
    assert_equal(written, at(cache["mlp_out", layer], cache, positions))


@law(mlp_configs(), st.sampled_from([None, 2, [3, 0], slice(1, 4)]))
def test_neurons_projected_first_are_neurons_projected_last(cfg, neurons):
    _, _, cache = run(cfg)
    onto = random_like(torch.empty(cfg.d_model, 3, dtype=torch.float64))
    writes = cache.get_neuron_results(-1, neurons)
    projected = cache.get_neuron_results(-1, neurons, project_output_onto=onto)
    assert_equal(projected, writes @ onto)
    one = cache.get_neuron_results(-1, neurons, project_output_onto=onto[:, 0])
    assert_equal(one, writes @ onto[:, 0])


@law(configs(), st.data(), POSITIONS, st.booleans(), st.booleans())
def test_the_full_decomposition_adds_up_to_the_stream(cfg, data, positions, neurons, single):
    _, _, cache = run(cfg, remove_batch_dim=single)
    layer = layers(data, cfg)
    rows, labels = cache.get_full_resid_decomposition(
        layer, expand_neurons=neurons, positions=positions, return_labels=True
    )
    assert len(rows) == len(set(labels)) == len(labels)
    assert_equal(rows.sum(0), at(into(cache, layer), cache, positions))


@law(sequential_configs(), st.data(), st.booleans())
def test_the_full_decomposition_adds_up_to_what_an_mlp_reads(cfg, data, neurons):
    _, _, cache = run(cfg)
    layer = data.draw(st.integers(0, cfg.n_layers - 1))
    rows = cache.get_full_resid_decomposition(layer, mlp_input=True, expand_neurons=neurons)
    assert_equal(rows.sum(0), cache["resid_mid", layer])


@law(configs(norm=configs().map(lambda cfg: cfg.norm).filter(bool)), st.data(), st.booleans())
def test_normalized_rows_add_up_to_the_normalized_stream_less_its_bias(cfg, data, single):
    model, _, cache = run(cfg, remove_batch_dim=single)
    layer = data.draw(st.integers(0, cfg.n_layers - 1))
    rows = cache.decompose_resid(layer, incl_bias=True, apply_ln=True, positions=[0, -1])
    names = model.blocks[layer].attentions[0]
    bias = model.blocks[layer].norm_of(names).b
    expected = at(cache["normalized", layer, names.norm], cache, [0, -1])
    assert_equal(rows.sum(0), expected if bias is None else expected - bias)
    if cfg.has_resid_mid:
        rows = cache.get_full_resid_decomposition(layer, mlp_input=True, apply_ln=True)
        bias = model.blocks[layer].ln2.b
        expected = cache["normalized", layer, "ln2"]
        assert_equal(rows.sum(0), expected if bias is None else expected - bias)


@law(configs(), st.booleans(), st.booleans(), POSITIONS)
def test_accumulated_rows_are_the_stream_in_front_of_each_block(cfg, mid, single, positions):
    _, _, cache = run(cfg, remove_batch_dim=single)
    rows, labels = cache.accumulated_resid(incl_mid=mid, positions=positions, return_labels=True)
    inner = {"time": cfg.divides_space_time, "mid": cfg.has_resid_mid}
    parts = ["pre", *(part for part, there in inner.items() if mid and there)]
    expected = [f"{i}_{part}" for i in range(cfg.n_layers) for part in parts] + ["final_post"]
    assert labels == expected
    for row, label in zip(rows, labels, strict=True):
        layer, part = label.split("_")
        where = ("resid_post", -1) if layer == "final" else (f"resid_{part}", int(layer))
        assert torch.equal(row, at(cache[where], cache, positions))


def norm_reads_tokens(cfg):
    """Whether the final norm acts on vectors of the stream, or on an average of them."""
    return cfg.pooling.norm_first or cfg.pooling.kind not in ("map", "cls_mean")


@law(configs().filter(norm_reads_tokens), POSITIONS)
def test_accumulated_rows_can_pass_the_whole_final_norm(cfg, positions):
    model, _, cache = run(cfg)
    plain = cache.accumulated_resid(positions=positions)
    normed = cache.accumulated_resid(positions=positions, apply_ln=True)
    norm = model.ln_final
    assert_equal(normed, plain if norm is None else norm.divide(plain, norm.scale(plain)))


@law(pooled_configs(), st.data(), st.booleans(), st.booleans())
def test_shares_and_the_constant_add_up_to_the_target(cfg, data, neurons, single):
    model, logits, cache = run(cfg, remove_batch_dim=single)
    vector = random_like(logits[0])
    target = model.target(vector)
    rows = cache.get_full_resid_decomposition(expand_neurons=neurons)
    layer_rows = cache.decompose_resid(incl_bias=True)
    constant = target.readout(cache).constant
    for stack in (rows, layer_rows):
        shares = cache.logit_attrs(stack, target).sum((0, -1))
        assert_equal(shares + constant, target(logits))


@law(pooled_configs())
def test_only_tokens_that_the_head_reads_have_shares(cfg):
    model, logits, cache = run(cfg)
    target = model.target(random_like(logits[0]))
    rows = cache.decompose_resid(incl_bias=True)
    readout = cache.layout.select("readout")
    shares = cache.logit_attrs(rows, target)
    others = [i for i in range(cache.layout.n_tokens) if i not in readout]
    assert not shares[..., others].any()
    there = cache.decompose_resid(incl_bias=True, positions="readout")
    assert_equal(cache.logit_attrs(there, target, positions="readout"), shares[..., readout])


@law(pooled_configs(), st.data())
def test_shares_add_up_when_hooks_moved_the_stream(cfg, data):
    model, images = build(cfg), images_for(cfg)
    layer = data.draw(st.integers(0, cfg.n_layers - 1))
    edit = (f"blocks.{layer}.hook_resid_pre", lambda value, hook: random_like(value))
    logits, cache = model.run_with_cache(images, fwd_hooks=[edit])
    for refused in (cache.decompose_resid, cache.get_full_resid_decomposition):
        with pytest.raises(HookError, match="rows must add up to the stream; a hook replaced"):
            refused()
    target = model.target(random_like(logits[0]))
    rows = cache.decompose_resid(incl_remainder=True)
    shares = cache.logit_attrs(rows, target).sum((0, -1)) + target.readout(cache).constant
    assert_equal(shares, target(logits))


@law(pooled_configs(), st.data(), examples=40)
def test_shares_add_up_when_hooks_moved_what_parts_write(cfg, data):
    model, images = build(cfg), images_for(cfg)
    names = [n for n in model.hook_names() if "resid" not in n and n.startswith("blocks.")]
    names += ["hook_embed", *(["ln_final.hook_scale"] if cfg.pooling.norm else [])]
    names += ["ln_pre.hook_scale"] if cfg.ln_pre else []
    name = data.draw(st.sampled_from(names))
    edit = (name, lambda value, hook: value * 1.5)
    logits, cache = model.run_with_cache(images, fwd_hooks=[edit])
    target = model.target(random_like(logits[0]))
    rows = cache.decompose_resid(incl_bias=True)
    shares = cache.logit_attrs(rows, target).sum((0, -1)) + target.readout(cache).constant
    assert_equal(shares, target(logits), name)


@pytest.mark.parametrize(
    "pooling",
    [
        PoolingConfig("map", norm_first=False, map=MapConfig(1, 3, 8)),
        PoolingConfig("cls_mean", norm_first=False),
    ],
    ids=["map", "cls_mean"],
)
def test_a_norm_of_what_was_pooled_is_not_applied_to_the_stream(pooling):
    _, _, cache = run(THREE.replace(pooling=pooling))
    for recompute in (False, True):
        with pytest.raises(ValueError, match="rows of the stream are no such vectors"):
            cache.apply_ln_to_stack(cache.decompose_resid(), recompute_ln=recompute)


PARTS_OF_OUTPUTS = [
    "attn.z_norm.hook_scale",
    "attn.out_norm.hook_scale",
    "mlp.out_norm.hook_scale",
    "attn.hook_result",
    "attn.hook_z",
    "mlp.hook_post",
]


@pytest.mark.parametrize("name", PARTS_OF_OUTPUTS)
@law(mlp_configs(attention=st.builds(AttentionConfig, z_norm=norms()), out_norm=norms()))
def test_heads_and_neurons_add_up_at_the_scales_of_the_run(name, cfg):
    model, images = build(cfg), images_for(cfg)
    edit = (f"blocks.0.{name}", lambda value, hook: value * 1.5)
    _, cache = model.run_with_cache(images, fwd_hooks=[edit])
    rows = cache.get_full_resid_decomposition()
    assert_equal(rows.sum(0), cache["resid_post", -1])


def test_what_mlps_read_is_taken_apart_where_they_follow_attention():
    _, _, cache = run(THREE.replace(parallel=True))
    with pytest.raises(ValueError, match="got a model whose MLPs stand beside it"):
        cache.decompose_resid(1, mlp_input=True)


@pytest.mark.parametrize("name", ["attn.z_norm", "attn.out_norm", "mlp.out_norm"])
def test_what_a_hook_puts_behind_the_heads_or_neurons_is_written_by_none_of_them(name):
    norm = NormConfig()
    cfg = THREE.replace(attention=AttentionConfig(z_norm=norm), out_norm=norm)
    edit = (f"blocks.1.{name}.hook_normalized", lambda value, hook: value * 1.5)
    _, cache = build(cfg).run_with_cache(images_for(cfg), fwd_hooks=[edit])
    with pytest.raises(HookError, match="rows must add up to the stream; a hook replaced"):
        cache.get_full_resid_decomposition()
    assert_equal(cache.decompose_resid(incl_bias=True).sum(0), cache["resid_post", -1])


@law(configs().filter(norm_reads_tokens))
def test_what_methods_return_is_out_of_the_graph(cfg):
    model, logits, cache = run(cfg)
    returned = [
        cache.accumulated_resid(apply_ln=True),
        cache.decompose_resid(incl_bias=True),
        cache.stack_head_results(),
        cache.get_full_resid_decomposition(),
        cache.stack_activation("q"),
    ]
    if cfg.pooling.kind != "none":
        target = model.target(random_like(logits[0]))
        returned.append(cache.logit_attrs(returned[1], target))
        returned.append(target.readout(cache).constant)
    assert not any(value.requires_grad for value in returned)


@law(pooled_configs(n_classes=4))
def test_what_methods_return_stays_in_the_graph_of_an_attached_run(cfg):
    model, images = build(cfg), images_for(cfg).requires_grad_()
    logits, cache = model.run_with_cache(images, detach=False)
    target = model.target(2, 1)
    rows = cache.get_full_resid_decomposition()
    shares = cache.logit_attrs(rows, target).sum((0, -1)) + target.readout(cache).constant
    [through_shares] = torch.autograd.grad(shares.sum(), images, retain_graph=True)
    [through_logits] = torch.autograd.grad(target(logits).sum(), images)
    assert_equal(through_shares, through_logits)
