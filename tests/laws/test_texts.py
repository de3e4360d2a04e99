"""The text transformer against its definition, and all that a glass transformer promises."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._models import assert_equal, law
from tests.laws._texts import build_text, text_configs, text_defined, texts_for
from tests.laws.test_derivation import assert_all_readable_values_are, contradicts
from tests.laws.test_hook_points import replacement, some_of
from vitreous import models
from vitreous.models import AttentionConfig, NormConfig, PoolingConfig


def pooled(cfg):
    return cfg.pooling.kind != "none"


@law(text_configs(), st.integers(1, 5), examples=60)
def test_every_value_is_that_of_the_definition(cfg, words):
    model, tokens = build_text(cfg), texts_for(cfg, words)
    logits, values = text_defined(model, tokens)
    assert_equal(model(tokens), logits)
    assert model.hook_names() == list(values)
    fused = model.run_with_cache(tokens)[1]
    explicit = model.run_with_cache(tokens, names_filter=model.hook_names())[1]
    for name, value in values.items():
        assert_equal(fused[name], value, name)
        assert_equal(explicit[name], value, name)


@law(text_configs(), st.data(), examples=40)
def test_a_value_never_derives_past_an_edit(cfg, data):
    model, tokens = build_text(cfg), texts_for(cfg)
    values = text_defined(model, tokens)[1]
    edits = {
        name: replacement(name, values[name]) for name in some_of(data, model.hook_names(), most=3)
    }
    if contradicts(edits):
        return
    hooks = [(name, lambda value, hook: edits[hook.name]) for name in edits]
    _, cache = model.run_with_cache(tokens, fwd_hooks=hooks)
    assert_all_readable_values_are(text_defined(model, tokens, edits)[1], cache)


@law(text_configs().filter(pooled), examples=40)
def test_layers_and_heads_add_up_to_a_target(cfg):
    model, tokens = build_text(cfg), texts_for(cfg)
    logits, cache = model.run_with_cache(tokens)
    target = model.target(torch.linspace(-1, 2, model.n_outputs))
    readout = target.readout(cache)
    assert_equal(
        (readout.weights * cache["resid_post", -1]).sum((1, 2)) + readout.constant, target(logits)
    )
    for rows in (cache.layer_rows(), cache.head_rows()):
        shares = cache.logit_attrs(torch.stack(list(rows.values())), target)
        assert_equal(shares.sum((0, -1)) + readout.constant, target(logits))


@law(text_configs(), st.integers(0, 3), examples=30)
def test_a_pass_in_two_stretches_is_the_whole(cfg, layer):
    model, tokens = build_text(cfg), texts_for(cfg)
    layer = min(layer, cfg.n_layers)
    stream, layout = model(tokens, stop_at_layer=layer), model.layout_for(tokens)
    rest = model(stream, start_at_layer=layer, layout=layout)
    assert torch.equal(rest, model(tokens))
    _, cache = model.run_with_cache(stream, start_at_layer=layer, layout=layout)
    assert cache.layout == layout


@law(text_configs(), examples=30)
def test_texts_do_not_see_one_another(cfg):
    model, tokens = build_text(cfg), texts_for(cfg)
    for text in range(3):
        assert_equal(model(tokens[text : text + 1]), model(tokens)[text : text + 1])


@law(text_configs(), examples=20)
def test_a_random_model_passes_its_own_check(cfg):
    assert build_text(cfg).check(), build_text(cfg).check()


@law(
    text_configs(
        norm=NormConfig(), out_norm=None, parallel=False, n_classes=4, attention=AttentionConfig(),
        pooling=PoolingConfig("eot", norm=NormConfig(eps=1e-5)),
    ),
    st.sampled_from(
        ["fold_layer_norm", "center_writing_weights", "fold_value_biases", "fold_layer_scale"]
    ),
    examples=30,
)  # fmt: skip
def test_processing_keeps_the_logits(cfg, step):
    if step == "fold_layer_scale" and not cfg.layer_scale:
        return
    model, tokens = build_text(cfg), texts_for(cfg)
    processed = getattr(models, step)(model)
    assert_equal(processed(tokens), model(tokens))
    assert processed.card["processing"][-1] == step
    assert processed.card["weight_hash"] != models.weight_hash(model)


@law(text_configs(), examples=15)
def test_folders_and_runs_come_back_as_they_were(cfg):
    with TemporaryDirectory() as folder:
        come_back(cfg, Path(folder))


def come_back(cfg, folder):
    model, tokens = build_text(cfg), texts_for(cfg)
    model.save_pretrained(folder)
    again = models.load(folder, dtype=torch.float64)
    assert again.cfg == model.cfg and torch.equal(again(tokens), model(tokens))
    _, cache = model.run_with_cache(tokens)
    cache.save(folder / "run.safetensors")
    loaded = again.load_cache(folder / "run.safetensors")
    assert loaded.layout == cache.layout
    for name in model.hook_names():
        assert_equal(loaded[name], cache[name], name)


@law(text_configs(pad_token=None, shifts_padding=False, pooling=PoolingConfig("eot")), examples=5)
def test_a_stream_alone_does_not_tell_where_texts_end(cfg):
    model, tokens = build_text(cfg), texts_for(cfg)
    with pytest.raises(ValueError, match=r"ends each text must be known; got a stream alone"):
        model(model(tokens, stop_at_layer=1), start_at_layer=1)
