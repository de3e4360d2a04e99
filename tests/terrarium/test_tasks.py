"""Every task is balanced and labels what is really there."""

from collections import Counter

import numpy as np
import pytest

from vitreous.terrarium import (
    SPLITS,
    TASKS,
    WORLD_KINDS,
    Task,
    render,
    sample,
    sprite_factors,
    sprite_index,
)
from vitreous.terrarium.tasks._repeats import period
from vitreous.terrarium.tasks._spurious import HOMES

BALANCED = "kinds counting relations typographic spurious repeats motion".split()


def labels(task: Task, count: int) -> list:
    return [task.label(task.scene(i)) for i in range(count)]


@pytest.mark.parametrize("name", BALANCED)
def test_every_label_comes_equally_often_in_every_whole_turn(name):
    task = Task(name, "train")
    n_classes = len(task.class_names)
    counts = Counter(labels(task, 10 * n_classes))
    assert set(counts) == set(range(n_classes))
    assert set(counts.values()) == {10}


@pytest.mark.parametrize("about", ["size", "same"])
def test_other_relations_are_balanced_too(about):
    assert set(Counter(labels(Task("relations", "test", about=about), 40)).values()) == {20}


def test_the_world_has_its_nine_tasks():
    expected = "kinds scenes counting relations typographic spurious sprites repeats motion"
    assert set(TASKS) == set(expected.split())


def test_splits_share_no_scene():
    train, test = (
        {str(sample("kinds", split, i).to_json()) for i in range(300)}
        for split in ("train", "test")
    )
    assert not train & test


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95, 1.0])
def test_exactly_rho_of_a_kinds_items_are_at_home(rho):
    task = Task("spurious", "train", rho=rho)
    scenes = map(task.scene, range(800))
    rows = [(scene.objects[0].kind, scene.background.setting) for scene in scenes]
    at_home = Counter(kind for kind, setting in rows if HOMES[kind] == setting)
    assert {kind: at_home[kind] for kind in HOMES} == dict.fromkeys(HOMES, round(100 * rho))


def test_scenes_say_which_kinds_are_there():
    task = Task("scenes", "test")
    for i in range(30):
        scene = task.scene(i)
        named = {WORLD_KINDS[k] for k, there in enumerate(task.label(scene)) if there}
        assert named == {thing.kind for thing in scene.objects}
        assert 2 <= len(named) <= 4
        assert all(kind in render(scene).caption for kind in named)


def test_all_that_is_counted_can_be_seen():
    task = Task("counting", "test")
    for i in range(40):
        made = task.rendering(i)
        assert (made.object_masks.sum((1, 2)) > 60).all()
        assert len(made.object_masks) == task.label(made.scene) + 1


def test_a_relation_is_that_of_the_masks():
    task = Task("relations", "test")
    for i in range(40):
        made = task.rendering(i)
        first, second = (np.argwhere(mask).mean(0) for mask in made.full_masks)
        down, across = first - second
        name = task.class_names[task.label(made.scene)]
        seen = {"left of": -across, "right of": across, "above": -down, "below": down}
        assert max(seen, key=seen.__getitem__) == name


def test_a_misleading_word_names_another_kind():
    for i in range(60):
        scene = sample("typographic", "test", i)
        (words,) = scene.words
        assert words.text in WORLD_KINDS
        assert words.text != scene.objects[0].kind


@pytest.mark.parametrize(("word", "expected"), [("matching", True), ("none", None)])
def test_words_can_match_or_be_missing(word, expected):
    for i in range(20):
        scene = sample("typographic", "test", i, word=word)
        found = scene.words[0].text == scene.objects[0].kind if scene.words else None
        assert found is expected


def test_a_painted_word_stays_in_the_picture():
    for i in range(80):
        made = render(sample("typographic", "test", i))
        share = made.words_share
        assert share.max() == 1
        assert share[:, 0].max() == share[:, -1].max() == share[0].max() == share[-1].max() == 0


def test_sprites_are_dsprites_full_grid():
    assert len(Task("sprites", "all")) == 737_280
    assert sprite_factors(737_279) == {"shape": 2, "scale": 5, "orientation": 39, "x": 31, "y": 31}


@pytest.mark.parametrize("index", [0, 1, 31, 32, 1024, 40_960, 245_760, 737_279])
def test_a_sprites_place_in_the_grid_leads_back(index):
    assert sprite_index(**sprite_factors(index)) == index


def test_a_sprite_moves_with_its_factors():
    def middle(**places) -> np.ndarray:
        place = {"shape": 1, "scale": 3, "orientation": 0, "x": 10, "y": 10} | places
        made = render(sample("sprites", "all", sprite_index(**place)))
        assert set(np.unique(made.image[made.object_shares[0] == 1])) == {255}
        return np.argwhere(made.object_masks[0]).mean(0)

    assert middle(x=20)[1] > middle()[1] + 5
    assert middle(y=20)[0] > middle()[0] + 5


def test_the_answer_of_repeats_stands_after_an_earlier_copy_of_the_last_motif():
    task = Task("repeats", "test")
    for i in range(80):
        scene = task.scene(i)
        row = [(thing.kind, thing.palette) for thing in scene.objects]
        earlier = max(k for k in range(len(row) - 1) if row[k] == row[-1])
        assert task.class_names[task.label(scene)] == row[earlier + 1][0]
        assert 5 <= period(scene) <= 16


def test_motion_is_seen_in_the_masks():
    task = Task("motion", "test")
    for i in range(12):
        scene = task.scene(i)
        mover = next(k for k, thing in enumerate(scene.objects) if thing.motion != (0, 0))
        first, last = (
            np.argwhere(render(scene, frame=frame).object_masks[mover]).mean(0) for frame in (0, 7)
        )
        down, across = last - first
        seen = {"left": -across, "right": across, "up": -down, "down": down}
        assert max(seen, key=seen.__getitem__) == task.class_names[task.label(scene)]


@pytest.mark.parametrize("name", TASKS)
def test_no_object_hides_wholly_and_all_items_have_captions_and_factors(name):
    task = Task(name, "all" if name == "sprites" else "validation")
    for i in range(15):
        made = task.rendering(i)
        assert made.object_masks[0].any()
        assert made.caption
        assert made.factors["task"] == name


def test_usual_splits_hold_what_they_say():
    assert len(Task("kinds", "test")) == SPLITS["test"] >= 5000
    assert Task("kinds").class_names.names == WORLD_KINDS


def test_the_main_object_takes_half_of_the_picture_or_more():
    assert all(sample("kinds", "train", i).objects[0].size >= 600 for i in range(200))
