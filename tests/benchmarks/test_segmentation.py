"""The grades of patch maps are what their definitions say, on maps whose worth is known."""

from dataclasses import astuple

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks._segmentation import BACKGROUND, MIXED, Maps, Truth, chance, count, owners
from vitreous.terrarium import WORLD_KINDS, Task

N_KINDS = 3
# Two scenes of six patches: a main object, a distractor, background, and a patch of nobody.
TRUTH = Truth(
    np.array([[0, 0, 1, BACKGROUND, BACKGROUND, MIXED], [1, 1, 1, 2, BACKGROUND, MIXED]]),
    np.array([0, 1]),
)


def saying(kinds) -> Maps:
    kinds = np.array(kinds)
    return Maps(kinds, np.ones(kinds.shape))


def grades(kinds):
    return count(saying(kinds), TRUTH, N_KINDS).grades()


def test_a_map_that_is_true_is_perfect_but_for_the_background():
    found = grades([[0, 0, 1, 0, 0, 2], [1, 1, 1, 2, 1, 0]])
    assert (found.main, found.distractors, found.iou) == (1, 1, 1)
    # Kinds 0, 1, 2 have 2, 4, 1 patches, and 2, 1, 0 of the background are called so.
    assert found.iou_background == pytest.approx((2 / 4 + 4 / 5 + 1 / 1) / 3)


def test_every_part_counts_as_it_is_defined():
    found = grades([[0, 1, 1, 0, 2, 2], [1, 0, 1, 1, 1, 0]])
    assert found.main == 3 / 5
    assert found.distractors == 1 / 2
    # Kind 0: both 1 of (2 are, 2 are called so); kind 1: 3 of (4, 5); kind 2: 0 of (1, 0).
    assert found.iou == pytest.approx((1 / 3 + 3 / 6 + 0 / 1) / 3)
    assert found.iou_background == pytest.approx((1 / 4 + 3 / 7 + 0 / 2) / 3)


def test_patches_of_nobody_count_nowhere():
    maps = np.array([[0, 1, 1, 0, 2, 2], [1, 0, 1, 1, 1, 0]])
    other = maps.copy()
    other[:, 5] = [0, 2]
    assert grades(maps) == grades(other)


def test_a_kind_that_is_not_there_and_never_named_changes_no_mean():
    maps = np.array([[0, 0, 1, 0, 0, 0], [1, 1, 1, 2, 1, 0]])
    assert count(saying(maps), TRUTH, 3).grades() == count(saying(maps), TRUTH, 9).grades()


def test_iou_equals_a_slow_count_over_sets():
    draw = np.random.default_rng(0)
    truth = Truth(draw.integers(-2, 5, (40, 16)), draw.integers(0, 5, 40))
    maps = draw.integers(0, 5, (40, 16))
    places = list(np.ndindex(maps.shape))
    for name, counted in (("iou", range(5)), ("iou_background", range(-1, 5))):
        ratios = []
        for kind in range(5):
            called = {p for p in places if truth.owners[p] in counted and maps[p] == kind}
            being = {p for p in places if truth.owners[p] == kind}
            ratios.append(len(called & being) / len(called | being))
        found = getattr(count(saying(maps), truth, 5).grades(), name)
        assert found == pytest.approx(np.mean(ratios), abs=1e-12)


def test_figure_is_the_area_under_the_roc_curve():
    draw = np.random.default_rng(0)
    truth = Truth(draw.integers(-2, 3, (40, 16)), draw.integers(0, 3, 40))
    truth.owners[0] = truth.main[0]  # no background: there is no curve
    of_answer = draw.integers(0, 5, (40, 16)) / 4  # with ties
    areas = []
    for owned, main, values in zip(truth.owners, truth.main, of_answer, strict=True):
        is_main, counted = owned == main, (owned == main) | (owned == BACKGROUND)
        if 0 < is_main.sum() < counted.sum():
            areas.append(roc_auc_score(is_main[counted], values[counted]))
    kinds = np.zeros_like(truth.owners)
    found = count(Maps(kinds, of_answer), truth, 3).grades().figure
    assert found == pytest.approx(np.mean(areas), abs=1e-12)
    assert 30 < len(areas) < 40


def test_saying_the_same_everywhere_tells_no_figure():
    assert grades([[0] * 6, [1] * 6]).figure == 0.5


def test_scenes_with_a_weight_count_so_often():
    twice = Truth(TRUTH.owners[[0, 1, 1]], TRUTH.main[[0, 1, 1]])
    maps = np.array([[0, 1, 1, 0, 2, 2], [1, 0, 1, 1, 1, 0]])
    weighted = count(saying(maps), TRUTH, N_KINDS).grades(np.array([1.0, 2.0]))
    assert weighted == count(saying(maps[[0, 1, 1]]), twice, N_KINDS).grades()


def test_the_interval_holds_the_grades_and_has_a_width():
    draw = np.random.default_rng(1)
    truth = Truth(draw.integers(-2, 5, (300, 16)), draw.integers(0, 5, 300))
    counts = count(Maps(draw.integers(0, 5, (300, 16)), draw.random((300, 16))), truth, 5)
    low, high = counts.interval()
    for least, value, most in zip(*map(astuple, (low, counts.grades(), high)), strict=True):
        assert least < value < most < least + 0.1


def test_maps_of_other_scenes_are_right_by_chance():
    main = np.arange(700) % 35
    background = np.full(700, BACKGROUND)
    truth = Truth(np.stack([main, main, main, (main + 1) % 35, background], axis=1), main)
    true = Maps(truth.owners.clip(min=0), np.array([[1.0, 1, 1, 0, 0]] * 700))
    found = chance(true, truth, 35)
    assert found.main == pytest.approx(1 / 35, abs=0.005)
    # Of a patch of the kind, and one called so, each is right once in 35: 1 / (35 + 35 - 1).
    assert found.iou == pytest.approx(1 / 69, abs=0.003)
    assert count(true, truth, 35).grades().iou == 1


def test_the_owner_of_a_patch_covers_more_than_half_of_it():
    coverage = np.array([[[0.6, 0.5], [0.1, 0.0]], [[0.4, 0.5], [0.2, 0.51]]])
    assert owners(coverage, [7, 3]).tolist() == [7, MIXED, BACKGROUND, 3]


def test_owners_of_a_scene_follow_its_masks():
    made = Task("kinds", "cluttered").rendering(4)
    kinds = [WORLD_KINDS.index(thing.kind) for thing in made.scene.objects]
    found = owners(made.coverage(8, 8), kinds)
    for number, kind in enumerate(kinds):
        share = made.object_shares[number].reshape(8, 12, 8, 12).mean((1, 3)).ravel()
        assert (found == kind).tolist() == (share > 0.5).tolist()
    assert {BACKGROUND, MIXED} < set(found.tolist())
