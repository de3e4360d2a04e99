"""A scene is the same everywhere and for good, and so is its picture with the locked renderer."""

import subprocess
import sys

import numpy as np
import pytest
from torch.utils.data import DataLoader, Subset

from tests.terrarium.record_hashes import hash_of_scene, hashed_items, record, recorded
from vitreous.terrarium import Scene, Task, render_image, sample


def test_scenes_and_pictures_of_every_split_are_those_of_the_record():
    assert record() == recorded()


def test_the_record_holds_a_few_hundred_items():
    assert sum(map(len, recorded().values())) >= 400


def test_an_item_does_not_depend_on_what_was_asked_before():
    forward = [sample("kinds", "train", i) for i in range(40)]
    assert [sample("kinds", "train", i) for i in reversed(range(40))] == forward[::-1]


@pytest.mark.parametrize("change", [{"seed": 1}, {"index": 4}, {"split": "validation"}])
def test_another_seed_place_or_split_gives_another_scene(change):
    at = {"split": "test", "index": 3, "seed": 0}
    assert sample("kinds", **at) != sample("kinds", **(at | change))


def test_batches_are_the_items_whatever_their_size():
    task = Task("kinds", "test")
    pictures, labels = task.batch(5, 12)
    parts = [*task.batches(3, start=5, stop=12)]
    assert np.array_equal(np.concatenate([p for p, _ in parts]), pictures)
    assert np.array_equal(np.concatenate([label for _, label in parts]), labels)
    assert all(np.array_equal(task[5 + i][0], picture) for i, picture in enumerate(pictures))


def test_worker_processes_make_the_same_pictures():
    task = Task("kinds", "test")
    loader = DataLoader(
        Subset(task, range(4)), batch_size=4, num_workers=1, multiprocessing_context="spawn"
    )
    ((pictures, labels),) = list(loader)
    expected, expected_labels = task.batch(0, 4)
    assert np.array_equal(pictures.numpy(), expected)
    assert labels.tolist() == expected_labels.tolist()


def test_another_process_with_another_hash_seed_makes_the_same_scene():
    program = (
        "from tests.terrarium.record_hashes import hash_of_scene as h;"
        "from vitreous.terrarium import sample; print(h(sample('scenes', 'test', 11)))"
    )
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hash_of_scene(sample("scenes", "test", 11))


def test_a_scene_read_from_json_gives_the_same_picture():
    for _, _, task, place in list(hashed_items())[::40]:
        scene = task.scene(place)
        again = Scene.from_json(scene.to_json())
        assert again == scene
        assert np.array_equal(render_image(again), render_image(scene))
