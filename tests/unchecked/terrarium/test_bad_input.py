"""One line each that says what must hold, what came and what to do."""

import json
import re

import numpy as np
import pytest
import torch

from vitreous import UnknownNameError
from vitreous.data import Preprocessing
from vitreous.terrarium import (
    KINDS,
    Background,
    CausalModel,
    Scene,
    Task,
    Thing,
    Variable,
    Words,
    compiled_model,
    contact_sheet,
    counterfactual,
    counterfactual_pairs,
    kind,
    mark_task,
    render,
    render_background,
    render_clip,
    render_image,
    sample,
    sample_scene,
    sprite_factors,
    sprite_index,
    trained_circuit,
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
    with says(ValueError, "`size` must be in 1..10000; got 0."):
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
    with says(ValueError, "`scene` must have `background`; got none. `Scene.to_json` shows"):
        Scene.from_json({"world": 1, "objects": []})


def test_json_that_lacks_something():
    with says(ValueError, "`objects[0]` must have `x`; got none. `Scene.to_json` shows the form."):
        Scene.from_json({**SCENE.to_json(), "objects": [{"kind": "cat"}]})


@pytest.mark.parametrize("size", [0, 7])
def test_a_picture_that_is_too_small(size):
    with says(ValueError, f"`size` must be in 8..8192; got {size}. The default is 96 pixels."):
        render(SCENE, size)


def test_a_frame_beyond_the_clip():
    with says(ValueError, "`frame` must be in 0..0; got 1. `scene.frames` counts the pictures."):
        render(SCENE, frame=1)


def test_a_grid_that_does_not_divide():
    with says(ValueError, "must divide the picture's 96 x 96 pixels; got 7 x 8."):
        render(SCENE).coverage(7, 8)


def test_a_part_that_the_object_lacks():
    with says(ValueError, "`name` must be a part of object 0; got 'propeller'."):
        render(SCENE).part_mask("propeller")


def test_a_sheet_of_nothing():
    with says(ValueError, "A contact sheet must have pictures, of at most"):
        contact_sheet(Task("kinds"), [])


def test_prepared_clips():
    preprocessing = Preprocessing(image_size=(96, 96), mean=(0.5,) * 3, std=(0.5,) * 3)
    with says(ValueError, "`images` must be of single pictures with one label; got task 'motion'."):
        Task("motion").images(preprocessing)


NAN, HUGE = float("nan"), 10**30
NO_NUMBERS = [None, "3", 1.5, NAN, True, [3], {}]


def edited(part: str, **changes: object) -> dict:
    """A scene's JSON as somebody changed it by hand."""
    values = Scene((SCENE.objects[0],), SCENE.background, (Words("CAT"),)).to_json()
    if part == "scene":
        return values | changes
    several = part in ("objects", "words")
    values[part] = [{**values[part][0], **changes}] if several else {**values[part], **changes}
    return values


NUMBERS = {
    "objects": "x y size style rotation squeeze stroke depth".split(),
    "background": ["seed", "texture"],
    "light": ["direction", "strength", "shadow"],
    "words": ["x", "y", "height"],
    "scene": ["frames"],
}


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize(("part", "name"), [(p, name) for p in NUMBERS for name in NUMBERS[p]])
def test_no_whole_number_in_the_json_of_a_scene(part, name, value):
    value = tuple(value) if isinstance(value, list) else value  # as it is read
    with says(ValueError, f"`{name}` must be a whole number; got {value!r}."):
        Scene.from_json(edited(part, **{name: value}))


@pytest.mark.parametrize("value", [None, 1, 0, "no", NAN, []], ids=repr)
@pytest.mark.parametrize(
    ("part", "name"),
    [("objects", "flip"), ("words", "label"), ("scene", "gray"), ("scene", "mirrored")],
)
def test_no_truth_value_in_the_json_of_a_scene(part, name, value):
    with says(ValueError, f"`{name}` must be True or False; got"):
        Scene.from_json(edited(part, **{name: value}))


@pytest.mark.parametrize(
    ("part", "changes", "text"),
    [
        ("objects", {"size": HUGE}, "`size` must be in 1..10000; got 1000000"),
        ("objects", {"x": -HUGE}, "`x` must leave some of the rabbit within the picture, so"),
        ("objects", {"squeeze": 0}, "`squeeze` must be in 1..199; got 0. 100 leaves it as it is."),
        ("objects", {"stroke": -1}, "`stroke` must be in 0..10000; got -1."),
        ("objects", {"shift": [1, 2]}, "`shift` must be 3 whole numbers; got (1, 2). Pass"),
        ("objects", {"shift": [1, 2, NAN]}, "`shift` must be a whole number; got nan."),
        ("objects", {"shift": [1, 2, 256]}, "`shift` must be in -255..255; got 256."),
        ("objects", {"motion": 3}, "`motion` must be 2 whole numbers; got 3."),
        ("background", {"texture": -5}, "`texture` must be in 0..255; got -5. 0 is for none."),
        ("light", {"shadow": 101}, "`shadow` must be in 0..100; got 101. 0 is for none."),
        ("light", {"strength": -HUGE}, "`strength` must be in 0..100; got -1000000"),
        ("words", {"text": ""}, "`text` must be a text with a letter; got ''. Try 'CAT'."),
        ("words", {"text": 3}, "`text` must be a text with a letter; got 3."),
        ("words", {"text": "CAFÉ"}, "must be written with A-Z, 0-9, space, + and ?; got 'É'."),
        ("words", {"height": 0}, "`height` must be in 1..1000; got 0."),
        ("words", {"x": 5000}, "`x` must leave some of 'CAT' within the picture, so lie in"),
        ("words", {"y": -51}, "`y` must leave some of 'CAT' within the picture, so lie in -49.."),
        ("scene", {"frames": 0}, "`frames` must be in 1..10000; got 0."),
        ("scene", {"objects": None}, "`objects` must be a list; got None."),
        ("scene", {"objects": {}}, "`objects` must be a list; got {}."),
        ("scene", {"objects": ["cat"]}, "`objects[0]` must be an object; got 'cat'."),
        ("scene", {"words": "CAT"}, "`words` must be a list; got 'CAT'."),
        ("scene", {"light": None}, "`light` must be an object; got None."),
        ("scene", {"background": []}, "`background` must be an object; got []."),
        ("scene", {"task": 3}, "`task` must be of type str; got 3."),
        ("scene", {"world": None}, "A scene must be of world 1; got None."),
        ("scene", {"world": "1"}, "A scene must be of world 1; got '1'."),
        ("scene", {"world": True}, "A scene must be of world 1; got True."),
    ],
)  # fmt: skip
def test_what_can_not_be_in_the_json_of_a_scene(part, changes, text):
    with says(ValueError, text):
        Scene.from_json(edited(part, **changes))


@pytest.mark.parametrize(
    ("part", "changes", "text"),
    [
        ("scene", {"colour": 3}, "No field of `scene` is named 'colour'. It has objects, back"),
        ("objects", {"colour": 3}, "No field of `objects[0]` is named 'colour'. It has kind, x,"),
        ("light", {"strenght": 3}, "No field of `light` is named 'strenght'. Nearest: strength."),
        ("objects", {"kind": ["cat"]}, "No kind is named ('cat',)."),
        ("objects", {"palette": {}}, "No palette is named {}."),
        ("background", {"setting": None}, "No setting is named None."),
    ],
)
def test_a_name_that_nothing_has_in_the_json_of_a_scene(part, changes, text):
    with says(UnknownNameError, text):
        Scene.from_json(edited(part, **changes))


@pytest.mark.parametrize("values", [None, [], "{}", 3], ids=repr)
def test_something_else_than_the_json_of_a_scene(values):
    with says(ValueError, f"A scene must be an object, a dictionary; got {type(values).__name__}."):
        Scene.from_json(values)


def test_numbers_of_other_libraries_are_numbers():
    thing = Thing("cat", np.int64(500), torch.tensor(500), np.uint16(600), "gray")
    scene = Scene([thing], Background("snow", seed=np.int64(3)))
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
    assert sample("kinds", "test", np.int64(3), np.int32(0)) == sample("kinds", "test", 3)


@pytest.mark.parametrize("value", [None, "0", 1.0, NAN, True, [0], slice(3)], ids=repr)
def test_an_index_or_a_seed_that_is_no_number(value):
    with says(ValueError, "`index` must be a whole number; got"):
        sample("kinds", "test", value)
    with says(ValueError, "`index` must be a whole number; got"):
        Task("kinds")[value]
    with says(ValueError, "`seed` must be a whole number; got"):
        Task("kinds", seed=value)
    with says(ValueError, "`seed` must be a whole number; got"):
        sample("kinds", "test", 0, value)


@pytest.mark.parametrize("index", [-10_001, 10_000, HUGE])
def test_an_index_outside_of_a_data_set(index):
    with says(IndexError, f"must lie in 0..9999 for split 'test' of `kinds`; got {index}."):
        Task("kinds", "test")[index]


@pytest.mark.parametrize("name", [None, 3, ["kinds"], ""], ids=repr)
def test_names_that_are_none(name):
    with says(UnknownNameError, f"No task is named {name!r}."):
        Task(name)
    with says(UnknownNameError, f"No split of `kinds` is named {name!r}."):
        sample("kinds", name, 0)


@pytest.mark.parametrize("size", [None, "96", 96.0, NAN, -1, HUGE], ids=repr)
def test_a_size_that_can_not_be(size):
    for made in (lambda: render(SCENE, size), lambda: Task("kinds", size=size)):
        with says(ValueError, "`size` must be "):
            made()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "dog", "object": -1}, "`object` must be one of 0 ("),
        ({"kind": "dog", "object": 0.5}, "`object` must be a whole number; got 0.5."),
        ({"gray": True, "object": 1}, "`object` must come with a change of an object; got `gray`"),
        ({"gray": 1}, "`gray` must be True or False; got 1."),
        ({"remove": "yes"}, "`remove` must be True or False; got 'yes'."),
        ({"remove": False}, "`remove` must differ from what the scene has; got False."),
        ({"light": "sun"}, "`light` must be of type Light; got 'sun'."),
        ({"text": ""}, "`text` must be a text with a letter; got ''."),
        ({"size": NAN}, "`size` must be a whole number; got nan."),
        ({"rotation": SCENE.objects[0].rotation + 3600}, "`rotation` must differ from what the"),
        ({"style": SCENE.objects[0].style + KINDS["rabbit"].n_styles}, "`style` must differ from"),
    ],
)
def test_another_impossible_counterfactual(changes, text):
    with says(ValueError, text):
        counterfactual(SCENE, **changes)


@pytest.mark.parametrize("scene", [None, SCENE.to_json(), "cat"], ids=["none", "json", "text"])
def test_what_is_no_scene(scene):
    for take in (render, render_image, render_clip, render_background, Task("kinds").label):
        with says(ValueError, "`scene` must be of type Scene; got"):
            take(scene)
    with says(ValueError, "`scene` must be of type Scene; got"):
        counterfactual(scene, kind="dog")
    with says(ValueError, "`objects[0]` must be of type Thing; got"):
        Scene((scene,), SCENE.background)


SNOW = Background("snow")


@pytest.mark.parametrize(
    ("task", "scene", "of"),
    [
        ("kinds", Scene((), SNOW), "nothing"),
        ("kinds", Scene((Thing("square", 500, 500, 600, "red"),), SNOW), "square"),
        ("counting", Scene((), SNOW), "nothing"),
        ("counting", Scene((Thing("cup", 500, 500, 300, "red"),) * 7, SNOW), "cup, cup,"),
        ("motion", Scene((Thing("cup", 500, 500, 300, "red"),), SNOW), "cup"),
        ("relations", Scene((Thing("cup", 500, 500, 300, "red"),), SNOW), "cup"),
        ("repeats", Scene((Thing("cup", 500, 500, 300, "red"),), SNOW), "cup"),
        ("spurious", Scene((Thing("cup", 500, 500, 300, "red"),), SNOW), "cup"),
    ],
)
def test_a_scene_that_a_task_has_no_label_for(task, scene, of):
    with says(ValueError, f"that task '{task}' has a label for; got one of {of}"):
        Task(task).label(scene)


def test_a_clip_that_something_leaves():
    cup = Thing("cup", 500, 500, 300, "red", motion=(100, 0))
    clip = Scene((cup,), SNOW, frames=20)
    render(clip, 24, frame=6)
    with says(ValueError, "the cup within picture 7; got (100, 0), which takes it to (1200, 500)."):
        render(clip, 24, frame=7)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda task: task.batch(5, 3), "`stop` must be in 6..10000; got 3."),
        (lambda task: task.batch(-3, 2), "`start` must be in 0..9999; got -3."),
        (lambda task: task.batch(9999, 10_005), "`stop` must be in 10000..10000; got 10005."),
        (lambda task: task.batch("a", 3), "`start` must be a whole number; got 'a'."),
        (lambda task: task.batches(0), "`batch_size` must be at least 1; got 0. Try 64."),
        (lambda task: task.batches(2.5), "`batch_size` must be a whole number; got 2.5."),
        (lambda task: task.batches(start=20_000), "`start` must be in 0..10000; got 20000."),
        (lambda task: task.batches(stop=20_000), "`stop` must be in 0..10000; got 20000."),
        (lambda task: task.images(count=0), "`count` must be in 1..10000; got 0."),
        (lambda task: task.images(count=20_000), "`count` must be in 1..10000; got 20000."),
        (lambda task: task.images(None), "`preprocessing` must be of type Preprocessing; got None"),
        (lambda task: contact_sheet(task, 0), "`indices` must be in 1..10000; got 0. Try 64."),
        (lambda task: contact_sheet(task, 20_000), "`indices` must be in 1..10000; got 20000."),
        (lambda task: contact_sheet(task, 1.5), "`indices` must be a whole number; got 1.5."),
        (lambda task: contact_sheet(task, columns=0), "`columns` must be at least 1; got 0."),
        (lambda task: contact_sheet(None), "`task` must be of type Task; got None."),
        (lambda task: contact_sheet(Task("kinds", size=2048), 9000), "got 9000 of 2048 x 2048."),
    ],
)
def test_a_part_of_a_data_set_that_can_not_be(make, text):
    with says(ValueError, text):
        make(Task("kinds", "test", size=24))


@pytest.mark.parametrize(
    ("rows", "text"), [(0, "at least 1"), (-1, "at least 1"), (1.5, "a whole")]
)
def test_a_grid_that_is_none(rows, text):
    with says(ValueError, f"`rows` must be {text}"):
        render(SCENE, 24).coverage(rows, 1)


def test_a_part_of_an_object_that_is_not_there():
    with says(ValueError, "`number` must be in 0..2; got 9. `scene.objects` lists them."):
        render(SCENE, 24).part_mask("ears", 9)


@pytest.mark.parametrize("rho", [None, "1", True, [1], float("inf")], ids=repr)
def test_a_rate_that_is_no_number(rho):
    with says(ValueError, f"`rho` must be one of 0, 0.01, ... 1; got {rho!r}."):
        Task("spurious", rho=rho)


def test_a_relation_that_is_no_name():
    with says(ValueError, "`about` must be one of position, size, same; got ['size']."):
        Task("relations", about=["size"])


def test_a_place_in_the_grid_of_sprites_that_is_none():
    place = dict.fromkeys(("shape", "scale", "orientation", "x", "y"), 0)
    with says(ValueError, "`shape` must be in 0..2; got 3."):
        sprite_index(**place | {"shape": 3})
    with says(ValueError, "`x` must be a whole number; got None."):
        sprite_index(shape=0, scale=0, orientation=0)
    with says(UnknownNameError, "No factor of `sprites` is named 'z'."):
        sprite_index(**place, z=1)
    with says(ValueError, "`index` must be in 0..737279; got 737280."):
        sprite_factors(737_280)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("", "🤖", "gray"), "A kind must have a name, an emoji and a palette; got ''"),
        (("robot", "🤖", ""), "A kind must have a name, an emoji and a palette; got 'robot', '🤖'"),
    ],
)
def test_a_kind_that_lacks_something(arguments, text):
    with says(ValueError, text):
        kind(*arguments)


def test_a_kind_of_an_unknown_group():
    with says(ValueError, "`group` must be one of animal, fruit, thing, shape; got 'robots'."):
        kind("robot", "🤖", "gray", group="robots")


def test_an_unknown_trained_circuit_or_task_of_marks():
    with says(UnknownNameError, "No trained circuit is named 'cude'. Nearest: cued."):
        trained_circuit("cude")
    with says(UnknownNameError, "No task of marks is named 'comon'. Nearest: common."):
        mark_task("comon")


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_pairs_and_images_of_no_number_that_can_be(n):
    circuit = trained_circuit("cued")
    for ask in (circuit.pairs, circuit.images):
        with says(ValueError, "`n` must be "):
            ask(n)
        with says(ValueError, "`seed` must be "):
            ask(1, seed=-1)


def test_a_variable_depends_on_those_before_it():
    with says(ValueError, "Parents of `a` must be variables before it, or 'picture'; got 'b'."):
        CausalModel((Variable("a", "m0", {"b": ""}, "", len),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "`n` must be at least 1; got 0."),
        ({"cause": "kinds"}, "No cause is named 'kinds'. Nearest: kind."),
        ({"kind": "cut"}, "No kind of `kinds` is named 'cut'. Nearest: cat"),
        ({"to": "dig"}, "No kind of `kinds` is named 'dig'. Nearest: dog"),
        ({"to": "clock", "task": "spurious"}, "No kind of `spurious` is named 'clock'."),
        ({"cause": "setting", "to": "snaw"}, "No setting of `kinds` is named 'snaw'."),
        ({"cause": "text", "to": "ü"}, "`text` must be written with A-Z"),
        ({"cause": "places", "to": "dog"}, "`to` must be None where objects exchange places"),
        ({"task": "scenes"}, "`task` must have single pictures with one label; got 'scenes'."),
        ({"cause": "places", "task": "repeats", "kind": "cot"}, "No kind of `repeats` is"),
        ({"preprocessing": None}, "`preprocessing` must be of type Preprocessing; got None."),
        ({"rho": 1}, "No option of `kinds` is named 'rho'."),
    ],
)
def test_pairs_that_cannot_be(options, message):
    with pytest.raises((ValueError, UnknownNameError), match=re.escape(message)):
        counterfactual_pairs(**({"n": 2} | options))


def test_more_pairs_than_there_are():
    with pytest.raises(ValueError, match=r"the 2\d\d such pairs of split 'test' of `kinds`; got 9"):
        counterfactual_pairs(900, kind="cat", to="dog")


def test_an_unknown_compiled_model():
    with says(
        UnknownNameError, "No compiled model is named 'corner'. Nearest: corners, count. There"
    ):
        compiled_model("corner")


@pytest.mark.parametrize("draw", ["images", "pairs"])
@pytest.mark.parametrize(
    ("n", "said"),
    [
        (0, "`n` must be at least 1; got 0. Try 16."),
        (-3, "`n` must be at least 1; got -3. Try 16."),
        (2.5, "`n` must be a whole number; got 2.5. Try 16."),
        ("two", "`n` must be a whole number; got 'two'. Try 16."),
    ],
)
def test_a_number_of_pictures_that_is_none(draw, n, said):
    with says(ValueError, said):
        getattr(compiled_model("switch"), draw)(n)


@pytest.mark.parametrize("draw", ["images", "pairs"])
def test_a_seed_that_is_none(draw):
    with says(ValueError, "`seed` must be at least 0; got -1. Pass one from 0 on."):
        getattr(compiled_model("switch"), draw)(2, seed=-1)
