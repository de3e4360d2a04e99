"""A class is known from the layer from which it stays on top."""

import math

import numpy as np
import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous.data import ClassNames, Images
from vitreous.lenses import known_from, logit_lens, when_known


@pytest.fixture(scope="module")
def model():
    made = random_model()
    made.labels = ClassNames(("cat", "dog", "bird", "fish", "bee"))
    return made


@pytest.fixture(scope="module")
def images():
    return random_images(12)


LAYERS = (-1, 0, 1, 2)


def slowly(tops, layers, label):
    """From the last layer back, as long as the label is on top."""
    first = math.nan
    for layer, top in sorted(zip(layers, tops, strict=True), reverse=True):
        if top != label:
            break
        first = layer
    return first


def test_it_is_known_where_it_no_longer_leaves_the_top():
    tops = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]])
    found = known_from(tops.astype(bool), np.array([-1, 0, 1, 2]))
    np.testing.assert_array_equal(found, [-1, 1, 2, math.nan, math.nan])


def test_the_answer_is_known_from_the_layer_from_which_it_stays(model, images):
    found = when_known(model, images)
    tops = logit_lens(model, images)["readout"].argmax("label").to_numpy()
    expected = [slowly(each, LAYERS, each[-1]) for each in tops]
    np.testing.assert_array_equal(found["known_from"], expected)
    np.testing.assert_array_equal(found["asked"], model(images).argmax(-1))
    assert len(set(expected)) > 1


def test_a_label_that_is_no_answer_is_never_known(model, images):
    labels = torch.arange(12) % 5
    found = when_known(model, Images.from_tensor(images, labels, batch_size=5), of="label")
    tops = logit_lens(model, images)["readout"].argmax("label").to_numpy()
    expected = [slowly(each, LAYERS, label) for each, label in zip(tops, labels, strict=True)]
    np.testing.assert_array_equal(found["known_from"], expected)
    is_right = (model(images).argmax(-1) == labels).numpy()
    np.testing.assert_array_equal(np.isnan(found["known_from"]), ~is_right)
    assert 0 < is_right.sum() < 12


def test_classes_are_summed_up_over_their_images(model, images):
    labels = [3, 0, 0, 3, 3, 3, 0, 3, 0, 0, 3, 3]
    found = when_known(model, images, of=labels)
    assert found["label"].values.tolist() == ["cat", "fish"]
    assert found["label_index"].values.tolist() == [0, 3]
    for name, label in (("cat", 0), ("fish", 3)):
        mine = found["known_from"].to_numpy()[np.array(labels) == label]
        known = mine[~np.isnan(mine)]
        row = found.sel(label=name)
        assert row["count"] == len(mine) and row["known"] == len(known)
        shares = [(known <= layer).sum() / len(mine) for layer in (-1, 0, 1, 2)]
        np.testing.assert_allclose(row["known_share"], shares)
        if len(known):
            np.testing.assert_allclose([row["mean"], row["std"]], [known.mean(), known.std()])
        else:
            assert np.isnan(row["mean"]) and np.isnan(row["std"])


def test_each_patch_is_asked_for_the_answer(model, images):
    found = when_known(model, images, positions="patches")
    tops = logit_lens(model, images, positions="patches")["logit"].argmax("label").to_numpy()
    answers = model(images).argmax(-1)
    for image, token in np.ndindex(12, 6):
        expected = slowly(tops[image, :, token], LAYERS, answers[image])
        np.testing.assert_equal(found["known_from_token"].to_numpy()[image, token], expected)
    assert found["row"].values.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_lens_in_hand_says_the_same_in_any_order_of_layers(model, images):
    whole = when_known(model, images, positions="all")
    lens = logit_lens(model, images, layers=[2, -1, 1, 0])
    assert when_known(lens).identical(whole)
    assert when_known(logit_lens(model, images, top=2)).identical(whole)


def test_images_one_by_one_are_known_as_all_together(model, images):
    some = Images.from_tensor(images, batch_size=1)
    assert when_known(model, some).identical(when_known(model, images))
