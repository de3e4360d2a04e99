"""In `kinds` nothing but the object tells what it is."""

from collections import Counter

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier

from vitreous.terrarium import WORLD_KINDS, Task, render_background

COUNT = 35 * 60
CHANCE = 1 / len(WORLD_KINDS)
TASK = Task("kinds", "train")
SCENES = [TASK.scene(i) for i in range(COUNT)]
LABELS = np.array([TASK.label(scene) for scene in SCENES])


def accuracy(inputs: np.ndarray, model) -> float:
    half = COUNT // 2
    model.fit(inputs[:half], LABELS[:half])
    return model.score(inputs[half:], LABELS[half:])


def near_chance(value: float) -> bool:
    spread = np.sqrt(CHANCE * (1 - CHANCE) / (COUNT - COUNT // 2))
    return value < CHANCE + 4 * spread


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(60, min_samples_leaf=3, random_state=0)


def test_place_size_rotation_and_number_of_objects_tell_nothing():
    rows = [
        (
            t.x,
            t.y,
            t.size,
            t.rotation,
            t.flip,
            t.squeeze,
            t.stroke,
            len(scene.objects),
            scene.light.direction,
        )
        for scene in SCENES
        for t in scene.objects[:1]
    ]
    assert near_chance(accuracy(np.array(rows), forest()))


def test_the_background_tells_nothing():
    pixels = np.stack([render_background(scene, 12).ravel() for scene in SCENES]) / 255
    assert near_chance(accuracy(pixels, RidgeClassifier()))


def test_colors_alone_tell_at_most_a_quarter():
    palettes = sorted({scene.objects[0].palette for scene in SCENES})
    rows = [(palettes.index(s.objects[0].palette), *s.objects[0].shift) for s in SCENES]
    found = accuracy(np.array(rows), forest())
    assert CHANCE < found <= 0.25


def test_the_distractors_tell_nothing_but_what_the_object_is_not():
    rows = np.zeros((COUNT, len(WORLD_KINDS)))
    for i, scene in enumerate(SCENES):
        for thing in scene.objects[1:]:
            rows[i, WORLD_KINDS.index(thing.kind)] = 1
    assert near_chance(accuracy(rows, forest()))


@pytest.mark.parametrize("rho", [0.125, 0.9])
def test_the_setting_tells_rho_in_spurious(rho):
    rho = round(rho, 2)
    task = Task("spurious", "train", rho=rho)
    settings = [task.scene(i).background.setting for i in range(1600)]
    kinds = [task.label(task.scene(i)) for i in range(1600)]
    counted = Counter(zip(settings, kinds, strict=True))
    best = {place: max(range(8), key=lambda k, at=place: counted[at, k]) for place in set(settings)}
    told = np.mean([best[s] == k for s, k in zip(settings, kinds, strict=True)])
    assert abs(told - max(rho, 1 / 8)) < 0.05
