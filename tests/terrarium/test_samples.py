"""The sample scenes show what their names say, and the model says of them what the docs tell."""

import json
from functools import cache
from importlib import resources

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


@pytest.mark.parametrize(("name", "least"), [("cat", 0.99), ("dog", 0.99)])
def test_alone_each_is_what_it_is(name, least):
    assert said(sample_scene(name))[name] > least


def test_between_cat_and_dog_the_model_is_split():
    chances = sorted(said(sample_scene("cat-and-dog")).items(), key=lambda each: -each[1])
    assert [name for name, _ in chances[:2]] == ["cat", "dog"]
    assert chances[1][1] > 0.35 and chances[0][1] + chances[1][1] > 0.95


def test_either_of_the_two_alone_is_itself():
    scene = sample_scene("cat-and-dog")
    assert first(counterfactual(scene, remove=True)) == "dog"
    assert first(counterfactual(scene, remove=True, object=1)) == "cat"


def test_the_color_of_the_toilet_decides_whether_the_cat_is_seen():
    scene = sample_scene("cat-in-toilet")
    assert said(scene)["toilet"] > 0.7 and said(scene)["cat"] > 0.1
    assert said(counterfactual(scene, palette="white", object=1))["cat"] > 0.9
    assert said(counterfactual(scene, remove=True))["toilet"] > 0.99


def test_the_fruit_bowl_is_called_a_strawberry_which_is_the_pear_s_doing_not_the_strawberry_s():
    scene = sample_scene("fruit-bowl")
    kinds = [thing.kind for thing in scene]
    assert said(scene)["strawberry"] > 0.85
    without = {
        kind: counterfactual(scene, remove=True, object=kinds.index(kind))
        for kind in ("strawberry", "pear")
    }
    assert said(without["strawberry"])["strawberry"] > 0.85
    assert first(without["pear"]) == "apple"


@pytest.mark.parametrize("word", ["fish", "bird", "cat", "key"])
def test_the_label_turns_the_bird_into_a_fish_whatever_it_says(word):
    scene = sample_scene("bird-labeled-fish")
    labeled = scene if word == "fish" else counterfactual(scene, text=word)
    assert said(labeled)["fish"] > 0.75
    assert said(counterfactual(scene, text=None))["bird"] > 0.95
