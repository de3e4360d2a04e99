"""Every model's lens ends in what the model says."""

import torch
from hypothesis import strategies as st

from tests.laws._models import assert_equal, build, configs, images_for, law
from vitreous.lenses import logit_lens
from vitreous.models import NormConfig, PoolingConfig, ZeroShotClassifier


def tensor(values):
    return torch.from_numpy(values.to_numpy().copy())


def texts_for(model, count=3):
    """Directions in the space of a model's output, compared with it as CLIP does."""
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(count, model.n_outputs, generator=generator, dtype=torch.float64)
    weights = torch.nn.functional.normalize(weights, dim=-1)
    return ZeroShotClassifier(model, weights, torch.tensor(7.0), torch.tensor(-2.0)).double()


def pooled_configs(**fixed):
    return configs(**fixed).filter(lambda cfg: cfg.pooling.kind != "none")


@law(pooled_configs(n_classes=st.integers(1, 4)), examples=40)
def test_the_readout_of_the_last_layer_is_the_output(cfg):
    model, images = build(cfg), images_for(cfg)
    lens = logit_lens(model, images, positions=None)
    assert_equal(tensor(lens["readout"])[:, -1], model(images))


@law(pooled_configs(n_classes=st.integers(1, 4)), st.data())
def test_the_readout_of_a_layer_is_the_model_without_those_behind(cfg, data):
    model, images = build(cfg), images_for(cfg)
    layer = data.draw(st.integers(-1, cfg.n_layers - 1))
    lens = logit_lens(model, images, positions=None).sel(layer=layer)
    stream, layout = model(images, stop_at_layer=layer + 1), model.layout_for(images)
    expected = model(stream, start_at_layer=cfg.n_layers, layout=layout)
    assert_equal(tensor(lens["readout"]), expected)


@law(pooled_configs(n_classes=st.none() | st.integers(1, 4)))
def test_against_texts_the_readout_of_the_last_layer_is_the_output_too(cfg):
    model, images = build(cfg), images_for(cfg)
    texts = texts_for(model)
    lens = logit_lens(texts, images, positions=None)
    assert_equal(tensor(lens["readout"])[:, -1], texts.logits(model(images)))


@law(configs(n_classes=4, cls_token=True, pooling=st.builds(PoolingConfig, norm=st.none())))
def test_the_class_token_ends_in_the_output(cfg):
    model, images = build(cfg), images_for(cfg)
    lens = logit_lens(model, images, positions="readout")
    assert_equal(tensor(lens["logit"])[:, -1].mean(1), model(images))
    if not cfg.has_second_head:
        texts = texts_for(model)
        lens = logit_lens(texts, images, positions="cls")
        assert_equal(tensor(lens["logit"])[:, -1, 0], texts.logits(model(images)))


MEANS = st.builds(
    PoolingConfig,
    kind=st.just("mean"),
    norm=st.sampled_from([None, NormConfig(), NormConfig("rms", 0.1)]),
    counts_prefix=st.booleans(),
)


@law(configs(n_classes=4, pooling=MEANS))
def test_behind_the_norm_the_average_of_the_tokens_that_are_read_ends_in_the_output(cfg):
    model, images = build(cfg), images_for(cfg)
    lens = logit_lens(model, images, positions="readout")
    assert_equal(tensor(lens["logit"])[:, -1].mean(1), model(images))


@law(pooled_configs(n_classes=5), st.data())
def test_the_top_classes_are_those_of_all_classes(cfg, data):
    model, images = build(cfg), images_for(cfg)
    top = data.draw(st.integers(1, 5))
    whole, kept = logit_lens(model, images), logit_lens(model, images, top=top)
    for row, label, total in (
        ("logit", "label", "log_partition"),
        ("readout", "readout_label", "readout_log_partition"),
    ):
        logits = tensor(whole[row])
        assert_equal(tensor(kept[row]), logits.sort(-1, descending=True).values[..., :top])
        assert_equal(logits.gather(-1, tensor(kept[label])), tensor(kept[row]))
        assert_equal(tensor(kept[total]), logits.exp().sum(-1).log())


@law(configs(n_classes=5), st.data())
def test_a_lens_of_some_classes_is_a_part_of_the_lens_of_all(cfg, data):
    model, images = build(cfg), images_for(cfg)
    some = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))
    whole, part = logit_lens(model, images), logit_lens(model, images, labels=some)
    for name in whole:
        assert_equal(tensor(part[name]), tensor(whole[name])[..., some])
