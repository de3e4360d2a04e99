"""The shipped model `digits` is what its card says."""

import pytest
import torch

from vitreous.data import DIGIT_NAMES, DIGIT_PREPROCESSING, digits, sample
from vitreous.models import HookedViT, load, shipped_folder, weight_hash
from vitreous.training import accuracy, find_recipe, means


@pytest.fixture(scope="module")
def model() -> HookedViT:
    return load("digits")


def test_its_accuracy_on_the_held_out_digits_is_the_card_s_and_over_97_percent(model):
    found = accuracy(model, digits("test"))
    assert found > 0.97
    assert round(found, 4) == model.card["tests"]["test"]["accuracy"]


def test_it_is_the_model_of_its_recipe(model):
    recipe = find_recipe("digits")
    assert model.cfg == recipe.config
    assert model.labels == recipe.labels == DIGIT_NAMES
    assert model.preprocessing == recipe.preprocessing == DIGIT_PREPROCESSING
    assert (model.card["epochs"], model.card["seed"]) == (recipe.plan.epochs, 0)


def test_its_card_names_the_weights_that_were_measured(model):
    assert model.card["trained_weight_hash"] == weight_hash(model)


def test_its_means_are_those_of_its_training_pictures(model):
    expected = means(model, digits("train"), "*.hook_z", by="position")
    assert model.means is not None
    assert model.means.count == 1442
    assert set(model.means.values) == {f"blocks.{layer}.attn.hook_z" for layer in range(4)}
    for name, value in model.means.values.items():
        torch.testing.assert_close(value, expected.values[name], rtol=1e-4, atol=1e-5)


def test_all_shipped_files_together_are_small():
    size = sum(file.stat().st_size for file in shipped_folder().rglob("*") if file.is_file())
    assert size < 2_000_000


def test_its_sample_is_a_held_out_digit_that_it_reads_right(model):
    pixels = model.preprocess(sample("digit"))
    held_out = digits("test")[:]
    [place] = (held_out.pixels == pixels).flatten(1).all(1).nonzero()[:, 0].tolist()
    with torch.no_grad():
        assert model(pixels).argmax().item() == held_out.labels[place].item()
