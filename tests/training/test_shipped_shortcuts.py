"""The shipped models of other tasks than `kinds` are what their cards say, shortcuts included."""

import math
from functools import cache

import pytest
import torch

from vitreous.data import Batch
from vitreous.models import load, shipped_folder
from vitreous.terrarium import Task
from vitreous.training import find_recipe, means

SHORTCUTS = {
    "terrarium-spurious": ("test", "at home", "elsewhere"),
    "terrarium-typographic": ("none", "matching", "misleading"),
}
CASES = [(name, split) for name, splits in SHORTCUTS.items() for split in splits]
COUNT = 280  # whole turns of 8 kinds, and of 35
LARGEST = 1_500_000


@cache
def scenes(name: str, split: str, count: int = COUNT) -> Batch:
    return find_recipe(name).images(split)[:count]


@cache
def answers(name: str, split: str) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([load(name)(p).argmax(-1) for p in scenes(name, split).pixels.split(64)])


def right(name: str, split: str) -> float:
    return (answers(name, split) == scenes(name, split).labels).float().mean().item()


def told(name: str, split: str) -> float:
    return load(name).card["tests"][split]["accuracy"]


def spread(part: float, count: int) -> float:
    """Standard deviation of the part that is right of so many pictures."""
    return math.sqrt(part * (1 - part) / count)


@pytest.mark.parametrize(("name", "split"), CASES)
def test_the_first_scenes_agree_with_the_accuracy_on_its_card(name, split):
    part = told(name, split)
    assert abs(right(name, split) - part) <= 4 * max(spread(part, COUNT), 1 / COUNT)


@pytest.mark.parametrize("name", SHORTCUTS)
def test_it_takes_less_than_a_megabyte_and_a_half(name):
    assert sum(file.stat().st_size for file in (shipped_folder() / name).iterdir()) < LARGEST


@pytest.mark.parametrize("name", SHORTCUTS)
def test_its_means_are_those_of_the_first_training_scenes(name):
    model, recipe = load(name), find_recipe(name)
    expected = means(model, scenes(name, "train", recipe.n_means).pixels, "*.hook_z", by="position")
    for point, value in model.means.values.items():
        torch.testing.assert_close(value, expected.values[point], rtol=1e-4, atol=1e-5)


def test_terrarium_spurious_leans_on_the_background_and_yet_knows_its_kinds():
    home, elsewhere = (told("terrarium-spurious", split) for split in ("at home", "elsewhere"))
    assert home > 0.99
    assert 4 / 8 < elsewhere < home - 0.2
    assert abs(told("terrarium-spurious", "test") - (0.95 * home + 0.05 * elsewhere)) < 0.01


def test_terrarium_spurious_errs_towards_the_kind_that_is_at_home_there():
    scenes_at_home = {scene_of(place, 1).objects[0].kind: scene_of(place, 1) for place in range(40)}
    at_home = {scene.background.setting: kind for kind, scene in scenes_at_home.items()}
    assert len(at_home) == 8
    labels = load("terrarium-spurious").labels.names
    said = answers("terrarium-spurious", "elsewhere").tolist()
    truth = scenes("terrarium-spurious", "elsewhere").labels.tolist()
    wrong = [place for place in range(COUNT) if said[place] != truth[place]]
    lured = [
        labels[said[place]] == at_home[scene_of(place, 0).background.setting] for place in wrong
    ]
    assert sum(lured) > 0.6 * len(wrong)  # of seven wrong kinds, one is at home there


@cache
def scene_of(place: int, rho: float):
    return Task("spurious", "test", rho=rho).scene(place)


def test_terrarium_typographic_knows_kinds_without_a_word_and_reads_where_there_is_one():
    none, matching, misleading = (
        told("terrarium-typographic", split) for split in SHORTCUTS["terrarium-typographic"]
    )
    assert none > 0.7
    assert matching > 0.99
    assert misleading < none - 0.3


def test_terrarium_typographic_says_the_word_that_misleads():
    model, task = load("terrarium-typographic"), Task("typographic", "test", word="misleading")
    said = [model.labels.names[place] for place in answers(model.card["name"], "misleading")]
    words = [task.scene(place).words[0].text for place in range(COUNT)]
    assert sum(a == b for a, b in zip(said, words, strict=True)) > COUNT / 2
