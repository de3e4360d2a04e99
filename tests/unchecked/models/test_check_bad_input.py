"""What `model.check(source=...)` says to a source that can't be the model's."""

import pytest
import torch
from torch import nn

import vitreous as vt
from tests.parity.test_timm import ARCHITECTURES, random_vit
from vitreous.models import fold_layer_norm


@pytest.fixture(scope="module")
def source():
    return random_vit(*ARCHITECTURES["plain"]).float()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 3}, "n_layers=2; got 3"),
        ({"embed_dim": 48}, "d_model=36; got 48"),
        ({"num_heads": 4}, "n_heads=3; got 4"),
        ({"img_size": 32}, r"image_shape=\(64, 64\); got \(32, 32\)"),
        ({"num_classes": 5}, "n_classes=7; got 5"),
        ({"reg_tokens": 2}, "n_prefix=1; got 3"),
    ],
)
def test_a_source_of_another_shape_is_refused(source, changes, words):
    other = random_vit("vit_tiny_patch16_224", changes)
    with pytest.raises(ValueError, match=f"`source` must be of the model's shape, with {words}"):
        vt.from_module(source).check(source=other)


def test_a_module_of_no_library_is_refused(source):
    with pytest.raises(
        vt.UnsupportedModelError, match=r"`source` must be a transformer of timm .* got Linear"
    ):
        vt.from_module(source).check(source=nn.Linear(2, 2))


def test_a_source_with_a_hook_on_it_is_refused(source):
    model = vt.from_module(source)
    handle = source.blocks[0].register_forward_hook(lambda *_: None)
    with pytest.raises(vt.UnsupportedModelError, match="no forward hooks"):
        model.check(source=source)
    handle.remove()


def test_a_processed_model_is_refused(source):
    model = fold_layer_norm(vt.from_module(source))
    with pytest.raises(ValueError, match=r"got `blocks\.0\.ln1` with its gain folded away"):
        model.check(source=source)


def test_images_of_another_size_are_refused(source):
    with pytest.raises(ValueError, match="64"):
        vt.from_module(source).check(torch.zeros(2, 3, 32, 32), source=source)
