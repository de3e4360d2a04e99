"""Processed weights compute the same logits, and are what they are said to be."""

import re

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import (
    assert_equal,
    attentions,
    build,
    configs,
    divided_configs,
    images_for,
    law,
    maps,
    norms,
)
from tests.laws.test_spans import THREE
from vitreous.models import (
    AttentionConfig,
    NormConfig,
    PoolingConfig,
    center_writing_weights,
    fold_layer_norm,
    fold_layer_scale,
    fold_value_biases,
    load,
    weight_hash,
)


def keeps_logits(cfg, process):
    model, images = build(cfg), images_for(cfg)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    processed = process(model)
    assert_equal(processed(images), model(images))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert processed.check(images)
    return processed


def refusal_of(process, cfg):
    try:
        process(build(cfg))
    except ValueError as refusal:
        return str(refusal)
    return None


def layer_normed(**fixed):
    """Configurations in which every reader of the stream centers it."""
    layer = norms().filter(lambda norm: norm.kind == "layer")
    mean = st.builds(PoolingConfig, kind=st.just("mean"), norm=layer, norm_first=st.booleans())
    by_attention = st.builds(PoolingConfig, kind=st.just("map"), norm=layer, map=maps())
    linear = {"patch_norm": None, "stem": False, "out_norm": None}
    return configs(norm=layer, pooling=mean | by_attention, **linear, **fixed)


@pytest.mark.parametrize(
    "process", [fold_layer_norm, center_writing_weights, fold_value_biases, fold_layer_scale]
)
@law(configs(), examples=15)
def test_processing_keeps_logits_or_says_why_it_can_not(process, cfg):
    reason = refusal_of(process, cfg)
    if reason is None:
        keeps_logits(cfg, process)
    else:
        assert re.fullmatch(rf"`{process.__name__}` needs .*; got .*\. .*\.", reason)


@law(configs(n_classes=4, mlp_in_norm=None))
def test_folding_norms_keeps_logits_and_leaves_norms_without_gain_or_bias(cfg):
    folded = keeps_logits(cfg, fold_layer_norm)
    names = [name for name, _ in folded.named_parameters()]
    assert not any(
        part in name for name in names for part in (".ln1.", ".ln2.", "ln_time.", "ln_final.")
    )
    assert folded.card["processing"] == ["fold_layer_norm"]


@law(configs(attention=attentions(turns=False, offsets=False, z_norm=st.none())), examples=15)
def test_folding_value_biases_keeps_logits_and_leaves_none(cfg):
    folded = keeps_logits(cfg, fold_value_biases)
    assert not folded.b_V.any()


@law(divided_configs(), examples=8)
def test_folding_value_biases_leaves_none_in_either_attention(cfg):
    folded = keeps_logits(cfg, fold_value_biases)
    assert not any(b.attention(n).b_V.any() for b in folded.blocks for n in b.attentions)


@law(configs(layer_scale=True), examples=15)
def test_folding_layer_scale_keeps_logits_and_leaves_no_gain(cfg):
    folded = keeps_logits(cfg, fold_layer_scale)
    assert not folded.cfg.layer_scale
    assert all(b.attention(n).gain is None for b in folded.blocks for n in b.attentions)


@law(layer_normed())
def test_centering_keeps_logits_and_centers_all_that_is_written(cfg):
    centered = keeps_logits(cfg, center_writing_weights)
    _, cache = centered.run_with_cache(images_for(cfg))
    blocks = enumerate(centered.blocks)
    written = [cache[f"blocks.{i}.{names.adds}"] for i, b in blocks for names in b.attentions]
    written += [] if cfg.attn_only else [cache["mlp_out", i] for i in range(cfg.n_layers)]
    written += [] if cfg.ln_pre else [cache["hook_embed"]]
    for value in written:
        assert value.mean(-1).abs().max() < 1e-14


@law(
    layer_normed(
        n_classes=4,
        mlp_in_norm=None,
        attention=attentions(turns=False, offsets=False, z_norm=st.none()),
    ),
    examples=15,
)
def test_all_processing_together_keeps_logits(cfg):
    def process(model):
        return fold_value_biases(center_writing_weights(fold_layer_norm(model)))

    processed = keeps_logits(cfg, process)
    steps = ["fold_layer_norm", "fold_layer_scale", "center_writing_weights", "fold_value_biases"]
    assert [s for s in steps if s in processed.card["processing"]] == processed.card["processing"]


@law(configs(n_classes=4, mlp_in_norm=None), examples=15)
def test_folding_norms_shows_in_the_readout_alone_and_not_in_its_value(cfg):
    if cfg.pooling.kind == "none":
        return
    model, images = build(cfg), images_for(cfg)
    folded = fold_layer_norm(model)
    _, cache = folded.run_with_cache(images)
    assert_equal(folded.target(1)(folded(images)), model.target(1)(model(images)))
    weights = folded.target(1).readout(cache).weights
    assert_equal(weights, model.target(1).readout(model.run_with_cache(images)[1]).weights)


@pytest.mark.parametrize(
    ("changes", "process", "reason"),
    [
        ({"n_classes": None}, fold_layer_norm, "needs a head to fold the final norm into"),
        ({"norm": NormConfig("rms")}, center_writing_weights, "got an RMSNorm in the blocks"),
        ({"norm": None}, center_writing_weights, "got none in the blocks"),
        (
            {"pooling": PoolingConfig("mean", None)},
            center_writing_weights,
            "got none in the readout",
        ),
        ({"out_norm": NormConfig()}, center_writing_weights, "got a norm or a stem behind"),
        (
            {"pooling": PoolingConfig("cls_mean", norm_first=False)},
            center_writing_weights,
            "got pooling 'cls_mean' in front of the last norm",
        ),
        (
            {"attention": AttentionConfig(z_norm=NormConfig())},
            fold_value_biases,
            "got a norm between them",
        ),
        ({"mlp_in_norm": NormConfig()}, fold_layer_norm, "got a second norm in front of the MLP"),
    ],
)
def test_processing_that_would_change_logits_raises(changes, process, reason):
    with pytest.raises(ValueError, match=reason):
        process(build(THREE.replace(**changes)))


def test_gains_are_not_folded_below_float32():
    with pytest.raises(ValueError, match=r"needs float32 or better; got torch\.bfloat16"):
        fold_layer_scale(build(THREE.replace(layer_scale=True)).bfloat16())


@pytest.mark.parametrize("process", [fold_layer_norm, center_writing_weights, fold_value_biases])
def test_a_processed_model_carries_the_hash_of_its_own_weights(process):
    model = load("digits")
    processed = process(model)
    assert processed.card["weight_hash"] == weight_hash(processed) != model.card["weight_hash"]
    assert processed.card["processing"] == [process.__name__]
