"""One line each that says what must hold, what came and what to do."""

import re

import pytest

from vitreous import UnknownNameError
from vitreous.data import Preprocessing
from vitreous.terrarium import (
    Background,
    Scene,
    Task,
    Thing,
    Words,
    contact_sheet,
    counterfactual,
    kind,
    render,
    sample,
    sample_scene,
)

SCENE = sample("kinds", "test", 0)


def says(error: type[Exception], text: str):
    return pytest.raises(error, match=re.escape(text))


def test_an_unknown_task():
    with says(UnknownNameError, "No task is named 'kindz'. Nearest: kinds."):
        sample("kindz", "test", 0)


def test_an_unknown_split():
    with says(UnknownNameError, "No split of `kinds` is named 'tests'. Nearest: test."):
        Task("kinds", "tests")


def test_an_unknown_sample_scene():
    with says(UnknownNameError, "No sample scene is named 'fruitbowl'. Nearest: fruit-bowl. There"):
        sample_scene("fruitbowl")


def test_an_unknown_option():
    with says(
        UnknownNameError, "No option of `spurious` is named 'roh'. Nearest: rho. It has rho."
    ):
        Task("spurious", roh=0.5)


def test_a_task_without_options_takes_none():
    with says(UnknownNameError, "No option of `kinds` is named 'rho'. It has none."):
        sample("kinds", "test", 0, rho=0.5)


@pytest.mark.parametrize("rho", [-0.1, 1.5, 0.123])
def test_a_rate_that_is_none(rho):
    with says(ValueError, f"`rho` must be one of 0, 0.01, ... 1; got {rho}."):
        Task("spurious", rho=rho)


def test_an_unknown_relation():
    with says(ValueError, "`about` must be one of position, size, same; got 'color'."):
        Task("relations", about="color")


def test_an_unknown_word():
    with says(ValueError, "`word` must be one of misleading, matching, none, mixed; got 'wrong'."):
        Task("typographic", word="wrong")


@pytest.mark.parametrize("index", [-1, 10_000])
def test_an_index_outside_the_split(index):
    with says(IndexError, f"must lie in 0..9999 for split 'test' of `kinds`; got {index}."):
        sample("kinds", "test", index)


def test_an_unknown_kind():
    with says(UnknownNameError, "No kind is named 'catt'. Nearest: cat,"):
        Thing("catt", 500, 500, 600, "red")


def test_an_unknown_palette():
    with says(UnknownNameError, "No palette is named 'blu'. Nearest: blue."):
        Thing("cat", 500, 500, 600, "blu")


def test_a_kind_of_an_unknown_palette():
    with says(UnknownNameError, "No palette is named 'greem'. Nearest: green,"):
        kind("robot", "🤖", "blue greem")


def test_a_kind_that_is_there_already():
    with says(ValueError, "`name` must be that of no other kind; got 'cat' again."):
        kind("cat", "🐱", "blue")(lambda pen: None)


def test_an_unknown_setting():
    with says(UnknownNameError, "No setting is named 'medow'. Nearest: meadow."):
        Background("medow")


@pytest.mark.parametrize(("at", "name"), [((-400, 500), "x"), ((500, 1400), "y")])
def test_an_object_off_the_canvas(at, name):
    with says(ValueError, f"`{name}` must leave some of the cat within the picture, so lie in"):
        Thing("cat", *at, 600, "gray")


def test_an_object_without_size():
    with says(ValueError, "`size` must be at least 1; got 0."):
        Thing("cat", 500, 500, 0, "gray")


def test_letters_that_have_no_strokes():
    with says(ValueError, "`text` must be written with A-Z, 0-9, space, + and ?; got 'É'."):
        render(Scene((), Background("snow"), words=(Words("CAFÉ"),)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "must change one cause; got none"),
        ({"kind": "dog", "gray": True}, "must change one cause; got kind, gray"),
        ({"kind": SCENE.objects[0].kind}, "`kind` must differ from what the scene has"),
        ({"text": None}, "`text` must differ from what the scene has; got None"),
        ({"remove": True, "object": 9}, "`object` must be one of 0 ("),
        ({"x": 5000}, "`x` must leave some of the"),
    ],
)
def test_an_impossible_counterfactual(change, text):
    with says(ValueError, text):
        counterfactual(SCENE, **change)


def test_an_unknown_cause():
    with says(UnknownNameError, "No cause is named 'colour'."):
        counterfactual(SCENE, colour="red")


def test_a_counterfactual_of_an_unknown_kind():
    with says(UnknownNameError, "No kind is named 'dogg'. Nearest: dog,"):
        counterfactual(SCENE, kind="dogg")


def test_a_scene_of_another_world():
    with says(ValueError, "A scene must be of world 1; got 2."):
        Scene.from_json({**SCENE.to_json(), "world": 2})


def test_json_that_is_no_scene():
    with says(ValueError, "A Background must be an object with seed, setting, shift, texture"):
        Scene.from_json({"world": 1, "objects": []})


def test_json_that_lacks_something():
    with says(ValueError, "A Thing must be complete; got"):
        Scene.from_json({**SCENE.to_json(), "objects": [{"kind": "cat"}]})


@pytest.mark.parametrize("size", [0, 7])
def test_a_picture_that_is_too_small(size):
    with says(ValueError, f"`size` must be at least 8 pixels; got {size}."):
        render(SCENE, size)


def test_a_frame_beyond_the_clip():
    with says(ValueError, "`frame` must lie in 0..0; got 1."):
        render(SCENE, frame=1)


def test_a_grid_that_does_not_divide():
    with says(ValueError, "must divide the picture's 96 x 96 pixels; got 7 x 8."):
        render(SCENE).coverage(7, 8)


def test_a_part_that_the_object_lacks():
    with says(ValueError, "`name` must be a part of object 0; got 'propeller'."):
        render(SCENE).part_mask("propeller")


def test_a_sheet_of_nothing():
    with says(ValueError, "must have pictures and columns; got 0 and 8."):
        contact_sheet(Task("kinds"), [])


def test_prepared_clips():
    preprocessing = Preprocessing(image_size=(96, 96), mean=(0.5,) * 3, std=(0.5,) * 3)
    with says(ValueError, "`images` must be of single pictures with one label; got task 'motion'."):
        Task("motion").images(preprocessing)
