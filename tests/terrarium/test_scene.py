"""Scenes are plain values."""

import dataclasses
import json

import pytest

from vitreous.terrarium import Scene, sample


def test_a_scene_survives_json():
    scene = sample("typographic", "test", 3)
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene


def test_a_scene_holds_whole_numbers_and_words_only():
    def plain(value) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return isinstance(value, int | str | bool)

    assert plain(sample("motion", "test", 5).to_json())


def test_a_scene_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample("kinds", "test", 0).gray = True


def test_iterating_a_scene_gives_its_objects_main_first():
    scene = sample("kinds", "test", 1)
    assert tuple(scene) == scene.objects
    assert max(scene, key=lambda thing: thing.size) == scene.objects[0]
