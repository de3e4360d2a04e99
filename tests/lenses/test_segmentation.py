"""Maps of patches are what their definitions say, and graded as scikit-learn grades pixels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, jaccard_score

from tests.tiny import images_of, random_images, random_model
from vitreous.lenses import average_precision, emergent_segmentation_score, logit_lens, segmentation
from vitreous.models import PoolingConfig

MEASURES = ("mean_iou", "pixel_accuracy", "mean_average_precision")


@pytest.fixture(scope="module")
def model():
    return random_model(n_registers=1)


@pytest.fixture(scope="module")
def images():
    return random_images(6)


@pytest.fixture(scope="module")
def masks():
    """Classes, and all values that are none, for 12 x 8 pixels."""
    draw = np.random.default_rng(0)
    blocks = draw.integers(-3, 5, (6, 6, 4)).repeat(2, 1).repeat(2, 2)
    return torch.from_numpy(np.where(blocks == 3, -1, blocks))  # and no class 3


def pixels(of_patches):
    """Patches of 4 x 4 pixels, pixel by pixel."""
    return np.asarray(of_patches).repeat(4, 1).repeat(4, 2)


def graded_by_sklearn(says, probabilities, masks, background):
    """Pixel by pixel, class by class."""
    counted = (masks >= 0) | np.isin(masks, background)
    truth, says = masks[counted], says[counted]
    there = np.unique(truth[truth >= 0])
    named = np.union1d(there, np.unique(says))
    precision = [
        average_precision_score(truth == label, probabilities[..., label][counted])
        for label in there
    ]
    iou = jaccard_score(truth, says, labels=named, average="macro")
    return iou, accuracy_score(truth, says), np.mean(precision)


def test_a_segmentation_is_the_class_on_top_of_each_patch(model, images):
    lens = logit_lens(model, images)
    says = segmentation(lens, 1)
    assert says.dims == ("image", "row", "column")
    for image, row, column in ((0, 0, 0), (1, 2, 1), (5, 1, 0)):
        token = lens["logit"].sel(layer=1, token=f"r{row}c{column}")[image]
        assert says[image, row, column] == token.argmax("label")


def test_a_segmentation_needs_no_more_than_the_top_in_any_order(model, images):
    whole = segmentation(logit_lens(model, images), 0)
    order = [*range(2, 8)][::-1]
    np.testing.assert_array_equal(whole, segmentation(logit_lens(model, images, top=1), 0))
    np.testing.assert_array_equal(
        whole, segmentation(logit_lens(model, images, positions=order), 0)
    )


def test_classes_keep_their_numbers_where_some_are_read(model, images):
    lens = logit_lens(model, images, labels=[4, 2])
    logits = logit_lens(model, images)["logit"].sel(layer=2)[:, 2:].to_numpy()
    expected = np.where(logits[..., 4] > logits[..., 2], 4, 2)
    np.testing.assert_array_equal(segmentation(lens, 2), expected.reshape(6, 3, 2))


def test_clips_have_a_map_for_each_frame():
    model = random_model(n_frames=4, tubelet=2, cls_token=False, pooling=PoolingConfig("first"))
    lens = logit_lens(model, images_of(model))
    says = segmentation(lens, 2)
    assert says.dims == ("image", "frame", "row", "column") and says.shape == (2, 2, 3, 2)
    assert says[1, 1, 2, 0] == lens["logit"].sel(layer=2, token="f1r2c0")[1].argmax("label")


@pytest.mark.parametrize("background", [(), (-1,), (-1, -2, -3)])
def test_grades_are_those_of_scikit_learn_over_pixels(model, images, masks, background):
    lens = logit_lens(model, images)
    scores = emergent_segmentation_score(lens, masks, background=background)
    chances = lens["logit"][:, :, 2:].to_numpy().reshape(6, 4, 3, 2, 5)
    chances = torch.from_numpy(chances.copy()).softmax(-1).numpy()
    for place, layer in enumerate((-1, 0, 1, 2)):
        expected = graded_by_sklearn(
            pixels(segmentation(lens, layer)), pixels(chances[:, place]), masks.numpy(), background
        )
        found = [scores[name].sel(layer=layer).item() for name in MEASURES]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("top", [None, 5])
def test_beside_the_lens_stands_the_answer_said_everywhere(model, images, masks, top):
    scores = emergent_segmentation_score(logit_lens(model, images, top=top), masks)
    chances = model(images).softmax(-1).detach().numpy()[:, None, None].repeat(3, 1).repeat(2, 2)
    says = chances.argmax(-1)
    expected = graded_by_sklearn(pixels(says), pixels(chances), masks.numpy(), ())
    found = [scores[f"answer_{name}"].item() for name in MEASURES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_all_classes_of_the_top_are_graded_as_all_classes_are(model, images, masks):
    whole = emergent_segmentation_score(logit_lens(model, images), masks)
    kept = emergent_segmentation_score(logit_lens(model, images, top=5), masks)
    for name in whole:
        np.testing.assert_allclose(kept[name], whole[name], rtol=0, atol=1e-12)


def test_below_the_top_a_class_has_no_probability(model, images, masks):
    scores = emergent_segmentation_score(logit_lens(model, images, top=2), masks)
    logits = logit_lens(model, images)["logit"].sel(layer=1)[:, 2:].to_numpy()
    chances = torch.from_numpy(logits.copy()).softmax(-1)
    second = chances.sort(-1).values[..., -2:-1]
    kept = pixels(torch.where(chances >= second, chances, 0).reshape(6, 3, 2, 5).numpy())
    expected = graded_by_sklearn(kept.argmax(-1), kept, masks.numpy(), ())
    found = [scores[name].sel(layer=1).item() for name in MEASURES]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_map_that_is_true_has_full_marks(model, images):
    lens = logit_lens(model, images)
    masks = pixels(segmentation(lens, 2))
    scores = emergent_segmentation_score(lens, masks).sel(layer=2)
    assert scores["mean_iou"] == 1 and scores["pixel_accuracy"] == 1
    assert emergent_segmentation_score(lens, masks).sel(layer=-1)["mean_iou"] < 1


def test_masks_may_be_of_patches_and_have_a_margin():
    model = random_model(image_size=(13, 11))
    lens = logit_lens(model, random_images(2, size=(13, 11)))
    masks = np.random.default_rng(1).integers(-1, 5, (2, 3, 2))
    of_patches = emergent_segmentation_score(lens, masks)
    padded = np.pad(pixels(masks), ((0, 0), (0, 1), (0, 3)), constant_values=4)
    of_pixels = emergent_segmentation_score(lens, padded)
    for name in of_patches:
        np.testing.assert_allclose(of_pixels[name], of_patches[name], rtol=0, atol=1e-12)


def test_pixels_of_a_tubelet_belong_to_its_patch():
    model = random_model(n_frames=4, tubelet=2, cls_token=False, pooling=PoolingConfig("first"))
    lens = logit_lens(model, images_of(model))
    says = segmentation(lens, 0).to_numpy().repeat(2, 1).repeat(4, 2).repeat(4, 3)
    assert emergent_segmentation_score(lens, says).sel(layer=0)["mean_iou"] == 1


def test_average_precision_with_ties_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    for _ in range(20):
        scores = draw.integers(0, 4, 30) / 4
        counted = draw.integers(0, 5, 30)
        positive = draw.binomial(counted, 0.4)
        positive[0], counted[0] = 1, 1
        truth = np.concatenate([np.arange(n) < p for p, n in zip(positive, counted, strict=True)])
        expected = average_precision_score(truth, scores.repeat(counted))
        assert average_precision(scores, positive, counted) == pytest.approx(expected, abs=1e-12)
