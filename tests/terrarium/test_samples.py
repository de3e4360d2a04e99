"""The sample scenes show what their names say, and the model says of them what the docs tell."""

import json
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
import torch

from vitreous.models import load
from vitreous.terrarium import (
    KINDS,
    SAMPLE_SCENES,
    Scene,
    counterfactual,
    render,
    render_image,
    sample_scene,
)

DOCS = (Path(__file__).parents[2] / "docs/terrarium.md").read_text(encoding="utf-8")
SHOWN = {
    "cat-and-dog": ["cat", "dog"],
    "cat": ["cat"],
    "dog": ["dog"],
    "cat-in-toilet": ["cat", "toilet"],
    "fruit-bowl": ["apple", "cup", "banana", "orange", "strawberry", "pear", "apple"],
    "bird-labeled-fish": ["bird"],
}


def files() -> dict[str, dict]:
    folder = resources.files("vitreous.terrarium") / "samples"
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
    }


def test_every_file_has_its_name_in_the_list_and_nothing_else():
    assert sorted(files()) == sorted(SAMPLE_SCENES)


@pytest.mark.parametrize("name", SAMPLE_SCENES)
def test_a_file_says_everything_and_is_read_back_as_it_is(name):
    assert json.loads(json.dumps(sample_scene(name).to_json())) == files()[name]


@pytest.mark.parametrize("name", SAMPLE_SCENES)
def test_a_scene_shows_what_its_name_says(name):
    assert [thing.kind for thing in sample_scene(name)] == SHOWN[name]


def test_only_the_labeled_bird_has_a_word_on_it_and_that_is_fish():
    painted = {name: [w.text for w in sample_scene(name).words] for name in SAMPLE_SCENES}
    assert painted.pop("bird-labeled-fish") == ["fish"]
    assert not any(painted.values())


@pytest.mark.parametrize("name", SAMPLE_SCENES)
def test_every_object_can_be_seen(name):
    made = render(sample_scene(name))
    seen = made.object_masks.sum((1, 2)) / made.full_masks.sum((1, 2))
    assert made.object_masks.mean((1, 2)).min() > 0.01
    assert seen.min() > 0.35


def test_the_cat_stands_within_the_seat_of_the_toilet():
    made = render(sample_scene("cat-in-toilet"), 224)
    seat = made.full_masks[1] & (made.part_mask("seat", 1) | made.part_mask("water", 1))
    feet = made.part_mask("feet", 0)
    rows, columns = feet.nonzero()
    inside = seat.any(0)[columns.min() : columns.max() + 1]
    assert inside.all()
    assert seat.nonzero()[0].min() < rows.min() and rows.max() < seat.nonzero()[0].max()


def test_the_fruit_lies_in_the_bowl_but_for_one():
    scene = sample_scene("fruit-bowl")
    fruit = [thing for thing in scene if KINDS[thing.kind].group == "fruit"]
    assert len({thing.kind for thing in fruit}) == 5
    made = render(scene, 224)
    rim = made.part_mask("rim", 1) | made.part_mask("coffee", 1)
    lowest = [mask.nonzero()[0].max() for mask in made.full_masks]
    edge = rim.nonzero()[0].max()
    within = [thing.kind for thing, row in zip(scene, lowest, strict=True) if row <= edge]
    assert sorted(within) == ["apple", "banana", "orange", "pear", "strawberry"]


@pytest.mark.parametrize("size", [96, 224])
def test_a_sample_has_masks_captions_and_counterfactuals_like_any_scene(size):
    scene = sample_scene("cat-and-dog")
    made, other = render(scene, size), render(counterfactual(scene, kind="rabbit"), size)
    assert made.caption == "an orange cat left of a dog on grass"
    changed = (made.image != other.image).any(-1)
    first = [each.object_shares[0] + each.shadow_share for each in (made, other)]
    assert changed.any() and not changed[first[0] + first[1] == 0].any()


# -- What terrarium-4l says of them: docs/terrarium.md tells it


@cache
def said(scene: Scene) -> dict[str, float]:
    model = load("terrarium-4l")
    with torch.no_grad():
        chances = model(model.preprocess(render_image(scene))).softmax(-1)[0]
    return dict(zip(model.labels.names, chances.tolist(), strict=True))


def first(scene: Scene) -> str:
    return max(said(scene), key=said(scene).__getitem__)


def without(scene: Scene, *kinds: str) -> Scene:
    return replace(scene, objects=tuple(thing for thing in scene if thing.kind not in kinds))


BOWL, BIRD = sample_scene("fruit-bowl"), sample_scene("bird-labeled-fish")
OTHERS = {
    "cat-in-toilet": [counterfactual(sample_scene("cat-in-toilet"), palette="white", object=1)],
    "fruit-bowl": [
        without(BOWL, "strawberry"),
        replace(BOWL, objects=(BOWL.objects[0], BOWL.objects[5])),
    ],
    "bird-labeled-fish": [counterfactual(BIRD, text=None), counterfactual(BIRD, text="bird")],
}


@pytest.mark.parametrize("name", SAMPLE_SCENES)
def test_the_model_says_what_the_docs_tell(name):
    [says, other] = re.search(rf"^\| `{name}` \| (.*) \| (.*)\|$", DOCS, re.MULTILINE).groups()
    chances = said(sample_scene(name))
    told = re.findall(r"(\w+) ([\d.]+) %", says)
    assert told[0][0] == first(sample_scene(name))
    for kind, percent in told:
        assert 100 * chances[kind] == pytest.approx(float(percent), abs=1)
    told = re.findall(r"(\w+) (\d+) %", other)
    for (kind, percent), scene in zip(told, OTHERS.get(name, []), strict=True):
        assert 100 * said(scene)[kind] == pytest.approx(float(percent), abs=1)


def test_between_cat_and_dog_the_model_is_split():
    chances = sorted(said(sample_scene("cat-and-dog")).values(), reverse=True)
    assert chances[1] > 0.35 and chances[0] + chances[1] > 0.95


def test_either_of_the_two_alone_is_itself():
    scene = sample_scene("cat-and-dog")
    assert first(counterfactual(scene, remove=True)) == "dog"
    assert first(counterfactual(scene, remove=True, object=1)) == "cat"


def test_the_toilet_without_the_cat_is_a_toilet():
    assert said(counterfactual(sample_scene("cat-in-toilet"), remove=True))["toilet"] > 0.99


def test_without_the_pear_the_fruit_bowl_is_an_apple():
    assert first(without(BOWL, "pear")) == "apple"


@pytest.mark.parametrize("word", ["fish", "bird", "cat", "key"])
def test_the_label_turns_the_bird_into_a_fish_whatever_it_says(word):
    labeled = BIRD if word == "fish" else counterfactual(BIRD, text=word)
    assert said(labeled)["fish"] > 0.75
