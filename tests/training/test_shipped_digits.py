"""The shipped model `digits` is what its card says."""

import pytest
import torch

from vitreous.data import digits, sample
from vitreous.models import HookedViT, load
from vitreous.training import accuracy, means


@pytest.fixture(scope="module")
def model() -> HookedViT:
    return load("digits")


def test_its_accuracy_on_the_held_out_digits_is_the_card_s_and_over_97_percent(model):
    found = accuracy(model, digits("test"))
    assert found > 0.97
    assert round(found, 4) == model.card["tests"]["test"]["accuracy"]


def test_its_means_are_those_of_its_training_pictures(model):
    expected = means(model, digits("train"), "*.hook_z", by="position")
    assert model.means is not None
    assert model.means.count == 1442
    for name, value in model.means.values.items():
        torch.testing.assert_close(value, expected.values[name], rtol=1e-4, atol=1e-5)


def test_its_sample_is_a_held_out_digit_that_it_reads_right(model):
    pixels = model.preprocess(sample("digit"))
    held_out = digits("test")[:]
    [place] = (held_out.pixels == pixels).flatten(1).all(1).nonzero()[:, 0].tolist()
    with torch.no_grad():
        assert model(pixels).argmax().item() == held_out.labels[place].item()
