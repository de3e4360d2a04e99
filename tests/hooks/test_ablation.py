"""Mean ablation with the means that `vt.means` takes, at every kind of point."""

import pytest
import torch

import vitreous as vt
from tests.laws._models import assert_equal
from tests.tiny import READOUTS, images_of, random_model
from vitreous.data import Images
from vitreous.hooks import Ablate, site

MODEL = random_model(**READOUTS["registers, ln_pre, LayerScale"])
DATA, LABELS = images_of(MODEL, 6, seed=3), (0, 2, 2, 0, 3, 2)
IMAGES = images_of(MODEL, 3)
POINTS = (
    "hook_embed",
    "ln_pre.hook_scale",
    "blocks.0.attn.hook_pattern",
    "blocks.1.attn.hook_z",
    "blocks.1.hook_resid_post",
    "blocks.2.mlp.hook_post",
    "ln_final.hook_normalized",
    "hook_post_head_pre_normalize",
)


def labeled():
    return Images.from_tensor(DATA, torch.tensor(LABELS), batch_size=4)


def value_under(ablation, name):
    with torch.no_grad(), MODEL.intervene(ablation):
        return MODEL.run_with_cache(IMAGES, names_filter=name)[1][name]


def tokens_of(name):
    axes = MODEL.axes(name)
    return next((axes.index(word) for word in ("token", "query") if word in axes), None)


@pytest.mark.parametrize("name", POINTS)
def test_the_mean_over_images_and_tokens_stands_there(name):
    value = MODEL.run_with_cache(DATA)[1][name]
    dims = [0] if tokens_of(name) is None else [0, tokens_of(name)]
    expected = value.mean(dims, keepdim=True).expand_as(value[:3])
    found = value_under(Ablate(name, "mean", vt.means(MODEL, DATA, name)), name)
    assert (found - expected).abs().max() < 1e-6  # means are kept in float32


@pytest.mark.parametrize("name", POINTS)
def test_the_mean_of_each_position_stands_there(name):
    value = MODEL.run_with_cache(DATA)[1][name]
    found = value_under(Ablate(name, "mean", vt.means(MODEL, DATA, name, by="position")), name)
    assert (found - value.mean(0)).abs().max() < 1e-6


@pytest.mark.parametrize("name", POINTS)
def test_the_mean_of_each_images_class_stands_there(name):
    value, label = MODEL.run_with_cache(DATA)[1][name], torch.tensor(LABELS)
    means = vt.means(MODEL, labeled(), name, by="label")
    found = value_under(Ablate(name, "mean", means, labels=(2, 0, 3)), name)
    for image, wanted in enumerate((2, 0, 3)):
        expected = value[label == wanted].mean(0)
        if tokens_of(name) is not None:
            expected = expected.mean(tokens_of(name) - 1, keepdim=True)
        assert (found[image] - expected.expand_as(found[image])).abs().max() < 1e-6


def test_a_label_that_no_image_had_raises():
    name = "blocks.1.hook_mlp_out"
    reference = vt.means(MODEL, labeled(), name, by="label")
    with pytest.raises(ValueError, match=r"no image had \[1\]. Take the means over images of"):
        value_under(Ablate(name, "mean", reference, labels=(2, 1, 3)), name)


def test_labels_may_be_a_tensor():
    name = "blocks.1.attn.hook_z"
    reference = vt.means(MODEL, labeled(), name, by="label")
    values = [
        value_under(Ablate(site("L1H2", positions="registers"), "mean", reference, labels), name)
        for labels in ((2, 0, 3), [2, 0, 3], torch.tensor([2, 0, 3]))
    ]
    assert_equal(values[1], values[0])
    assert_equal(values[2], values[0])
