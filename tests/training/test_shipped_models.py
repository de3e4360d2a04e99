"""Every shipped model is the one of its recipe, names its weights, and is small."""

import json

import pytest

from vitreous.models import load, shipped_folder, shipped_models, weight_hash
from vitreous.training import RECIPES

SHIPPED = [name for name in RECIPES if name in shipped_models()]
LARGEST_MODEL, LARGEST_TOTAL = 2_000_000, 25_000_000


def size_of(files) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())


def test_every_recipe_is_shipped_and_nothing_else():
    assert shipped_models() == sorted(RECIPES)
    assert sorted(path.name for path in shipped_folder().iterdir()) == sorted(RECIPES)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_the_model_of_its_recipe(name):
    model, recipe = load(name), RECIPES[name]
    assert model.cfg == recipe.config
    assert model.labels == recipe.labels
    assert model.preprocessing == recipe.preprocessing


@pytest.mark.parametrize("name", SHIPPED)
def test_its_card_tells_the_whole_training(name):
    card, recipe = load(name).card, RECIPES[name]
    steps = recipe.plan.n_steps(len(recipe.images("train")))
    assert (card["name"], card["recipe"], card["data"]) == (name, name, recipe.about)
    assert (card["seed"], card["steps"], card["threads"]) == (0, steps, recipe.threads)
    assert card["pictures"] == steps * recipe.plan.batch_size
    assert card.get("epochs") == recipe.plan.epochs
    assert card["training_seconds"] > 0
    tested = {split: len(recipe.images(split)) for split in recipe.tests}
    assert {split: found["images"] for split, found in card["tests"].items()} == tested


@pytest.mark.parametrize("name", SHIPPED)
def test_its_card_names_the_weights_that_were_measured(name):
    model = load(name)
    assert model.card["trained_weight_hash"] == weight_hash(model)


@pytest.mark.parametrize("name", SHIPPED)
def test_its_means_say_whose_they_are(name):
    model, recipe = load(name), RECIPES[name]
    count = recipe.n_means or len(recipe.images("train"))
    assert model.means is not None
    assert (model.means.by, model.means.count) == ("position", count)
    assert model.means.description.startswith(
        f"the mean over the {count} training images of {name}"
    )
    points = {f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)}
    assert set(model.means.values) == points


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_small_and_nothing_of_its_training_lies_about(name):
    folder = shipped_folder() / name
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files == {"config.json", "means.safetensors", "model.safetensors"}
    assert size_of(folder.iterdir()) <= LARGEST_MODEL
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["format"]
    for checkpoint in folder.glob("*/*"):
        assert checkpoint.suffix == ".safetensors"
        assert checkpoint.stat().st_size <= LARGEST_MODEL


def test_all_shipped_files_together_are_small():
    assert size_of(shipped_folder().rglob("*")) < LARGEST_TOTAL
