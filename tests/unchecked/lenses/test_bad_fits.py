"""What fitted lenses say to input that they can't take."""

import re

import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous import WeightsError
from vitreous.data import Images
from vitreous.lenses import JacobianLens, TunedLens, compare_lenses, evaluate_lens
from vitreous.models import PoolingConfig
from vitreous.training import Plan

QUICK = Plan(batch_size=2, learning_rate=1e-2, steps=1)


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": "all"}, "`groups` must be 'separate' or 'together'; got 'all'."),
        ({"toward": "label"}, "`toward` must be 'read', 'own' or 'image'; got 'label'."),
        ({"images": random_images(1)}, "`images` must fill a batch of 2; got 1."),
        ({"images": random_images(0)}, "`images` must fill a batch of 2; got 0."),
        ({"images": random_images(2) * torch.nan}, "`logits` must be finite; got"),
        ({"seed": -1}, "`seed` must be a whole number"),
    ],
)
def test_a_fit_that_can_not_be(model, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TunedLens.fit(model, **{"images": random_images(2), "plan": QUICK} | changes)


@pytest.mark.parametrize("lens", [TunedLens, JacobianLens])
def test_features_have_no_classes_to_read(lens):
    with pytest.raises(ValueError, match="A lens needs a model with a head; got one that returns"):
        lens.fit(random_model(n_classes=None), random_images(2))


def test_an_output_per_token_is_no_answer_of_an_image():
    model = random_model(pooling=PoolingConfig("none"))
    TunedLens.fit(model, random_images(2), QUICK)
    with pytest.raises(ValueError, match="`toward='image'` needs a model with one output per"):
        TunedLens.fit(model, random_images(2), QUICK, toward="image")
    with pytest.raises(ValueError, match="`evaluate_lens` needs a model with one output per image"):
        evaluate_lens(model, random_images(2))


def test_no_image_has_no_jacobian(model):
    with pytest.raises(ValueError, match="`images` must hold an image; got none"):
        JacobianLens.fit(model, random_images(0))
    with pytest.raises(ValueError, match="`the last stream` must be finite; got"):
        JacobianLens.fit(model, random_images(1) * torch.nan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 6}, "`n_classes` must lie in 1..5, the number of classes; got 6."),
        ({"step": 0}, "`step` must lie between 0 and 1; got 0."),
        ({"images": random_images(0)}, "`images` must hold an image; got none."),
    ],
)
def test_grades_that_can_not_be(model, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate_lens(model, **{"images": random_images(2)} | changes)


@pytest.mark.parametrize("lens", [TunedLens, JacobianLens])
def test_a_file_that_holds_no_such_lens(lens, model, tmp_path):
    path = tmp_path / "lens.safetensors"
    message = f"`{path}` must hold a {lens.kind} lens; it can't be read"
    for content in (None, b"", b"x" * 100):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError, match=re.escape(message)):
            lens.load(path)
    other = {TunedLens: JacobianLens, JacobianLens: TunedLens}[lens]
    made = JacobianLens.fit(model, random_images(1))
    saved = made if other is JacobianLens else TunedLens(made.stream_means, None, None, {})
    saved.save(path)
    with pytest.raises(WeightsError, match=re.escape(f"{message} (it holds something else)")):
        lens.load(path)


def test_lenses_are_compared_on_images_with_masks(model):
    images = Images.from_tensor(random_images(2))
    with pytest.raises(ValueError, match="`images` must have masks; got none"):
        compare_lenses(model, images, {"logit": None})
    with pytest.raises(ValueError, match="`lenses` must hold a lens; got none"):
        compare_lenses(model, images, {})
