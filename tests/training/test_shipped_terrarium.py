"""The shipped models of the terrarium's task `kinds` are what their cards say."""

import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch

from vitreous.data import Batch
from vitreous.models import load, shipped_folder, shipped_models
from vitreous.training import RECIPES, find_recipe, log_spaced, means, new_model

IMAGES = RECIPES["terrarium-4l"].images
NAMES = [name for name, recipe in RECIPES.items() if recipe.images is IMAGES]
SHIPPED = [name for name in NAMES if name in shipped_models()]
CHANCE = 1 / 35
GRADES = Path(__file__).parents[2] / "benchmarks/results/terrarium.json"


@cache
def scenes(split: str, count: int) -> Batch:
    """The first scenes of a split; all models of the terrarium see them the same way."""
    return find_recipe("terrarium-4l").images(split)[:count]


def right(model, batch: Batch) -> float:
    with torch.no_grad():
        answers = torch.cat([model(pixels).argmax(-1) for pixels in batch.pixels.split(64)])
    return (answers == batch.labels).float().mean().item()


def spread(part: float, count: int) -> float:
    """Standard deviation of the part that is right of so many pictures."""
    return math.sqrt(part * (1 - part) / count)


def test_the_models_are_those_of_the_zoo():
    depths = [f"terrarium-{depth}l{ending}" for depth in (1, 2, 3, 4) for ending in ("", "-attn")]
    assert {*depths, "terrarium-3l-coarse"} <= set(NAMES)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("split", ["test", "gray"])
def test_the_first_scenes_agree_with_the_accuracy_on_its_card(name, split):
    count = 10 * 35
    told = load(name).card["tests"][split]["accuracy"]
    assert abs(right(load(name), scenes(split, count)) - told) < 4 * spread(told, count)


@pytest.mark.parametrize("name", SHIPPED)
def test_its_means_are_those_of_the_first_training_scenes(name):
    model, recipe = load(name), find_recipe(name)
    batch = scenes("train", recipe.n_means)
    expected = means(model, batch.pixels, "*.hook_z", by="position")
    for point, value in model.means.values.items():
        torch.testing.assert_close(value, expected.values[point], rtol=1e-4, atol=1e-5)


def test_the_recorded_table_is_that_of_the_cards():
    tables = json.loads(GRADES.read_text(encoding="utf-8"))["tables"]
    rows = next(rows for title, rows in tables.items() if title.startswith("Accuracy: top 1"))
    found = {row["model"]: row for row in rows if row["model"] != "chance"}
    assert sorted(found) == sorted(NAMES)
    for name, row in found.items():
        for split, told in load(name).card["tests"].items():
            assert row[split] == f"{100 * told['accuracy']:.1f}"
    exact = {row["what"]: row["holds"] for row in tables["What must hold"]}
    assert exact["cards tell the accuracy that is measured"] == "yes"


# -- Checkpoints


@cache
def checkpoint(step: int):
    return load("terrarium-2l", checkpoint=step)


STEPS = log_spaced(find_recipe("terrarium-2l").plan.steps)


def test_terrarium_2l_has_a_checkpoint_at_each_halving():
    files = (shipped_folder() / "terrarium-2l/checkpoints").iterdir()
    assert sorted(int(file.stem) for file in files) == STEPS
    assert len(STEPS) == 10


def test_the_first_checkpoint_is_the_untrained_model_in_float16():
    start = new_model(find_recipe("terrarium-2l"), 0).half().float().state_dict()
    for name, value in checkpoint(0).state_dict().items():
        assert torch.equal(value, start[name]), name


def test_the_first_checkpoint_is_right_by_chance():
    count = 20 * 35
    assert abs(right(checkpoint(0), scenes("test", count)) - CHANCE) < 4 * spread(CHANCE, count)


def test_checkpoints_come_closer_to_the_end():
    batch, final = scenes("test", 20 * 35), load("terrarium-2l")
    found = [right(model, batch) for model in (*map(checkpoint, STEPS[-4:]), final)]
    assert found == sorted(found)
    assert found[-2] - CHANCE > 0.8 * (found[-1] - CHANCE)  # half of the training, most of the way
    distances = [distance(checkpoint(step), final) for step in STEPS]
    assert distances == sorted(distances, reverse=True)


def distance(model, other) -> float:
    weights = zip(model.parameters(), other.parameters(), strict=True)
    return sum((a - b).detach().square().sum().item() for a, b in weights)
