"""Clean and corrupt batches that differ in one cause, and nowhere else."""

import numpy as np
import pytest
import torch

from vitreous.data import Preprocessing
from vitreous.terrarium import (
    PREPROCESSING,
    Task,
    counterfactual,
    counterfactual_pairs,
    render,
    render_image,
)

EVERY = {
    "kind": {"kind": "cat", "to": "dog"},
    "kind, drawn": {},
    "setting": {"cause": "setting"},
    "setting of spurious": {"cause": "setting", "to": "snow", "task": "spurious", "rho": 1},
    "other words": {"cause": "text"},
    "no word": {"cause": "text", "to": ""},
    "a word where none is": {"cause": "text", "to": "dog", "kind": "cat", "task": "kinds"},
    "places": {"cause": "places"},
    "places, sizes asked": {"cause": "places", "about": "size"},
    "places among kinds": {"cause": "places", "task": "kinds"},
    "kinds of counting": {"task": "counting", "to": "clock"},
    "in gray": {"task": "kinds", "split": "gray"},
}


@pytest.mark.parametrize("name", EVERY)
def test_pictures_are_equal_outside_of_what_the_cause_touches(name):
    pairs = counterfactual_pairs(4, 3, **EVERY[name])
    differs = (pairs.clean != pairs.corrupt).any(1)
    assert not (differs & ~pairs.touched).any()
    assert differs.flatten(1).any(1).all()
    assert (~pairs.touched).flatten(1).any(1).all()


@pytest.mark.parametrize("name", ["kind", "no word"])
def test_most_of_what_is_touched_differs(name):
    pairs = counterfactual_pairs(4, 3, **EVERY[name])
    differs = (pairs.clean != pairs.corrupt).any(1)
    assert (differs & pairs.touched).sum() > 0.6 * pairs.touched.sum()  # both have fur of one color


@pytest.mark.parametrize("name", EVERY)
def test_pixels_labels_and_masks_are_those_of_the_scenes(name):
    pairs = counterfactual_pairs(3, 1, **EVERY[name])
    options = {k: v for k, v in EVERY[name].items() if k in ("rho", "about")}
    usual = {"setting": "kinds", "text": "typographic", "places": "relations"}
    task = EVERY[name].get("task", usual.get(EVERY[name].get("cause"), "kinds"))
    of = Task(task, EVERY[name].get("split", "test"), seed=1, **options)
    for side in ("clean", "corrupt"):
        scenes = getattr(pairs, f"{side}_scenes")
        assert torch.equal(
            getattr(pairs, side), PREPROCESSING([render_image(scene) for scene in scenes])
        )
        assert getattr(pairs, f"{side}_labels").tolist() == [of.label(scene) for scene in scenes]
        for scene, mask in zip(scenes, getattr(pairs, f"{side}_masks"), strict=True):
            assert np.array_equal(render(scene).label_map, mask.numpy())


def test_the_cat_is_a_dog():
    pairs = counterfactual_pairs(4, kind="cat", to="dog")
    assert {pairs.class_names[i] for i in pairs.clean_labels.tolist()} == {"cat"}
    assert {pairs.class_names[i] for i in pairs.corrupt_labels.tolist()} == {"dog"}
    for clean, corrupt in zip(pairs.clean_scenes, pairs.corrupt_scenes, strict=True):
        assert corrupt == counterfactual(clean, kind="dog")


def test_scenes_that_are_so_already_are_passed_over():
    pairs = counterfactual_pairs(30, to="dog")
    assert "dog" not in {scene.objects[0].kind for scene in pairs.clean_scenes}
    assert len({scene.objects[0].kind for scene in pairs.clean_scenes}) > 20
    assert {scene.objects[0].kind for scene in pairs.corrupt_scenes} == {"dog"}


def test_two_objects_change_places_and_with_them_the_answer():
    pairs = counterfactual_pairs(8, cause="places")
    names = np.array(pairs.class_names.names)
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    clean, corrupt = (names[x.numpy()] for x in (pairs.clean_labels, pairs.corrupt_labels))
    assert [opposite[each] for each in clean] == corrupt.tolist()
    for before, after in zip(pairs.clean_scenes, pairs.corrupt_scenes, strict=True):
        (first, second), (third, fourth) = before.objects, after.objects
        assert (third.x, third.y, fourth.x, fourth.y) == (second.x, second.y, first.x, first.y)
        assert (third.kind, third.size, fourth.kind) == (first.kind, first.size, second.kind)


def test_drawn_words_are_others_and_lie_wholly_in_the_picture():
    pairs = counterfactual_pairs(15, cause="text")
    for before, after in zip(pairs.clean_scenes, pairs.corrupt_scenes, strict=True):
        assert before.words[0].text != after.words[0].text
        edge = render(after).words_share
        assert not edge[:, 0].any() and not edge[:, -1].any() and edge.any()
    assert torch.equal(pairs.clean_labels, pairs.corrupt_labels)


def test_the_same_arguments_give_the_same_pairs_and_more_begin_with_them():
    few, same, more = (counterfactual_pairs(n, 5) for n in (3, 3, 7))
    assert few.clean_scenes == same.clean_scenes == more.clean_scenes[:3]
    assert few.corrupt_scenes == same.corrupt_scenes == more.corrupt_scenes[:3]
    assert torch.equal(few.corrupt, more.corrupt[:3]) and len(more) == 7
    assert counterfactual_pairs(3, 6).clean_scenes != few.clean_scenes


def test_pairs_can_be_larger_and_prepared_for_another_model():
    how = Preprocessing((64, 64), mean=(0.5,), std=(0.5,), n_channels=1, crop_fraction=1.0)
    pairs = counterfactual_pairs(1, size=64, preprocessing=how)
    assert pairs.clean.shape == (1, 1, 64, 64) and pairs.touched.shape == (1, 64, 64)
