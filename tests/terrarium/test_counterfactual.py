"""Pairs of pictures that differ in one cause are identical elsewhere."""

import numpy as np
import pytest

from vitreous.terrarium import Light, Task, counterfactual, render, render_image, sample

PLACES = range(0, 60, 6)


def touched(made) -> np.ndarray:
    """Where an object of a scene, with its shadow, or words are."""
    return (made.object_shares[0] > 0) | (made.shadow_share > 0) | (made.words_share > 0)


@pytest.mark.parametrize("index", PLACES)
@pytest.mark.parametrize("change", [{"kind": "clock"}, {"stroke": 33}, {"x": 333}, {"size": 555}])
def test_another_main_object_changes_no_pixel_that_it_touches_neither_before_nor_after(
    index, change
):
    scene = sample("kinds", "test", index)
    before, after = render(scene), render(counterfactual(scene, **change))
    same = ~touched(before) & ~touched(after)
    assert same.any()
    assert np.array_equal(before.image[same], after.image[same])
    assert not np.array_equal(before.image, after.image)


@pytest.mark.parametrize("index", PLACES)
def test_without_the_words_only_the_words_are_gone(index):
    scene = sample("typographic", "test", index)
    before, after = render(scene), render(counterfactual(scene, text=None))
    free = before.words_share == 0
    assert np.array_equal(before.image[free], after.image[free])
    assert after.words_share.max() == 0


def test_another_setting_leaves_what_objects_cover_wholly():
    scene = sample("spurious", "test", 3)
    after = counterfactual(scene, setting="snow" if scene.background.setting != "snow" else "sky")
    covered = render(scene).object_shares[0] == 1
    assert np.array_equal(render_image(scene)[covered], render_image(after)[covered])
    assert not np.array_equal(render_image(scene), render_image(after))


def test_the_label_follows_the_kind():
    task = Task("kinds", "test")
    scene = task.scene(0)
    assert task.class_names[task.label(counterfactual(scene, kind="toilet"))] == "toilet"


def test_a_kind_changes_nothing_else():
    scene = sample("kinds", "test", 5)
    changed = counterfactual(scene, kind="umbrella")
    assert counterfactual(changed, kind=scene.objects[0].kind) == scene


def test_an_object_can_be_taken_away():
    scene = sample("scenes", "test", 5)
    assert counterfactual(scene, object=1, remove=True).objects == (
        scene.objects[0],
        *scene.objects[2:],
    )


@pytest.mark.parametrize(
    "change",
    [{"mirrored": True}, {"gray": True}, {"light": Light(10, 30, 0)}, {"texture": 50}, {"seed": 9}],
)
def test_the_whole_picture_can_change(change):
    scene = sample("kinds", "test", 8)
    after = counterfactual(scene, **change)
    assert after.objects == scene.objects
    assert not np.array_equal(render_image(scene), render_image(after))
