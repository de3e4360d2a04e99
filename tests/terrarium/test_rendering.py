"""Masks are exact, because every sample of a picture has one owner."""

from dataclasses import replace

import numpy as np
import pytest

from vitreous.terrarium import (
    TASKS,
    Background,
    Light,
    Rendering,
    Scene,
    Thing,
    Words,
    render,
    render_background,
    render_clip,
    render_image,
    sample,
)
from vitreous.terrarium import _painting as painting

SCENES = [
    sample(name, split, 11 * i)
    for name, kind in TASKS.items()
    for split in kind.splits
    for i in range(3)
]
EVERYWHERE = [pytest.param(scene, id=f"{scene.task}-{i}") for i, scene in enumerate(SCENES)]


def owned(made: Rendering) -> np.ndarray:
    """What objects, shadows and words own of every pixel."""
    return made.object_shares.sum(0) + made.shadow_share + made.words_share


@pytest.mark.parametrize("scene", EVERYWHERE)
def test_pixels_that_nobody_owns_are_the_background_byte_for_byte(scene):
    made = render(scene)
    free = owned(made) == 0
    assert np.array_equal(made.image[free], render_background(scene)[free])


@pytest.mark.parametrize("scene", EVERYWHERE)
def test_shares_add_up_to_whole_pixels(scene):
    made = render(scene)
    assert owned(made).max() <= 1
    assert np.array_equal(made.part_shares * 16, np.round(made.part_shares * 16))
    for number in range(len(scene.objects)):
        of_parts = [i for i, (of, _) in enumerate(made.parts) if of == number]
        assert np.array_equal(made.part_shares[of_parts].sum(0), made.object_shares[number])


@pytest.mark.parametrize("scene", EVERYWHERE)
def test_visible_masks_partition_what_is_drawn(scene):
    made = render(scene)
    owners = made.object_masks.sum(0) + (made.label_map == -1) + (made.label_map == -3)
    assert (owners == 1).all()
    for number in range(len(scene.objects)):
        of_parts = [i for i, (of, _) in enumerate(made.parts) if of == number]
        assert np.array_equal(made.part_masks[of_parts].sum(0), made.object_masks[number])


@pytest.mark.parametrize("scene", EVERYWHERE)
def test_the_owner_of_a_pixel_owns_as_much_as_anyone(scene):
    made = render(scene)
    background = 1 - made.object_shares.sum(0) - made.words_share
    shares = np.concatenate([made.object_shares, made.words_share[None], background[None]])
    of_owner = np.where(made.label_map == -3, len(shares) - 2, made.label_map)
    chosen = np.take_along_axis(shares, (of_owner % len(shares))[None], 0)[0]
    assert np.array_equal(chosen, shares.max(0))


@pytest.mark.parametrize("scene", EVERYWHERE)
def test_nothing_is_visible_beyond_the_full_share(scene):
    made = render(scene)
    assert (made.object_shares <= made.full_shares).all()


def test_a_full_mask_goes_on_behind_what_hides_it():
    front = Thing("apple", 500, 500, 500, "red", depth=1)
    back = Thing("house", 500, 500, 800, "blue")
    made = render(Scene((back, front), Background("meadow")))
    alone = render(Scene((back,), Background("meadow")))
    assert np.array_equal(made.full_shares[0], alone.object_shares[0])
    assert made.object_masks[0].sum() < made.full_masks[0].sum()


@pytest.mark.parametrize("grid", [(8, 8), (4, 4), (12, 6)])
def test_coverage_sums_to_the_visible_area(grid):
    made = render(sample("kinds", "test", 2))
    coverage = made.coverage(*grid)
    pixels_of_a_patch = 96 * 96 / (grid[0] * grid[1])
    assert np.allclose(coverage.sum((1, 2)) * pixels_of_a_patch, made.object_shares.sum((1, 2)))
    assert np.allclose(
        coverage[:, 0, 0], made.object_shares[:, : 96 // grid[0], : 96 // grid[1]].mean((1, 2))
    )


def test_the_picture_alone_is_the_same_as_with_masks():
    for scene in SCENES[::5]:
        assert np.array_equal(render_image(scene), render(scene).image)


def test_many_inks_change_no_byte(monkeypatch):
    scene = sample("kinds", "cluttered", 4)
    few = render(scene)
    monkeypatch.setattr(painting, "_count_inks", lambda _: 1000)
    many = render(scene)
    assert np.array_equal(few.image, many.image)
    assert np.array_equal(few.part_masks, many.part_masks)


def test_a_scene_of_a_hundred_objects_can_be_painted():
    things = tuple(
        Thing("cat", 50 + 100 * (i % 10), 50 + 100 * (i // 10), 110, "gray") for i in range(100)
    )
    made = render(Scene(things, Background("meadow")))
    assert (made.object_masks.sum((1, 2)) > 20).all()


def test_a_mirrored_scene_is_the_picture_turned_left_to_right():
    scene = next(
        s for s in SCENES if s.task == "relations" and abs(s.objects[0].x - s.objects[1].x) > 300
    )
    plain, mirrored = render(scene), render(replace(scene, mirrored=True))
    assert np.array_equal(mirrored.image, plain.image[:, ::-1])
    assert np.array_equal(mirrored.object_masks, plain.object_masks[:, :, ::-1])
    assert {plain.factors["position"], mirrored.factors["position"]} == {"left of", "right of"}


def test_a_larger_picture_shows_the_same_scene():
    scene = sample("kinds", "test", 9)
    small, large = render(scene, 96), render(scene, 224)
    assert large.image.shape == (224, 224, 3)
    close = np.abs(large.coverage(8, 8) - small.coverage(8, 8))
    assert close.max() < 0.08


def test_a_gray_scene_has_no_color():
    picture = render_image(sample("kinds", "gray", 0)).astype(int)
    assert (picture[..., 0] == picture[..., 1]).all() and (picture[..., 1] == picture[..., 2]).all()


def test_rows_of_an_outline_are_even_and_odd_in_turn():
    cat = Thing("cat", 503, 497, 777, "gray", rotation=123)
    fills, lines = painting._put(
        painting.kind_named("cat").drawing(0),
        96,
        at=(cat.x, cat.y),
        extent=777,
        rotation=123,
        stroke=13,
    )
    for outline in (fills, lines):
        assert np.array_equal(outline[:, 1] % 2, np.arange(len(outline)) % 2)
        assert np.array_equal(outline, np.round(outline))


def test_a_clip_shows_the_moving_object_elsewhere_in_every_frame():
    scene = sample("motion", "test", 0)
    clip = render_clip(scene)
    assert clip.shape == (scene.frames, 96, 96, 3)
    assert np.array_equal(clip[2], render(scene, frame=2).image)
    moving = render(scene).factors["moving"]
    middles = [
        np.argwhere(render(scene, frame=frame).object_masks[moving]).mean(0) for frame in (0, 7)
    ]
    assert np.abs(middles[1] - middles[0]).max() > 10


def test_light_darkens_the_far_corner():
    scene = Scene(
        (), Background("snow", texture=0), light=Light(direction=0, strength=30, shadow=0)
    )
    picture = render_image(scene).astype(int)
    assert picture[50, -1].sum() > picture[50, 0].sum()


def test_words_own_their_pixels():
    made = render(Scene((), Background("meadow"), words=(Words("CAT", 500, 500, 200),)))
    assert (made.label_map == -3).any()
    assert made.words_share.max() == 1


def test_parts_have_masks_by_name():
    made = render(Scene((Thing("cat", 500, 500, 800, "ginger"),), Background("snow")))
    ears, tail = made.part_mask("ears"), made.part_mask("tail")
    assert ears.any() and tail.any() and not (ears & tail).any()
    assert np.argwhere(ears).mean(0)[0] < np.argwhere(made.part_mask("body")).mean(0)[0]
