"""Tasks as data sets of other libraries and of ours."""

import numpy as np
import torch

from vitreous.data import Preprocessing
from vitreous.terrarium import Task

PREPROCESSING = Preprocessing(image_size=(96, 96), mean=(0.5,) * 3, std=(0.5,) * 3)


def test_images_hold_pictures_labels_and_label_maps():
    task = Task("kinds", "test")
    batch = task.images(PREPROCESSING, 6, masks="objects")[[2, 5]]
    assert batch.pixels.shape == (2, 3, 96, 96)
    assert batch.labels.tolist() == [task[2][1], task[5][1]]
    assert torch.equal(batch.masks[1], torch.from_numpy(task.rendering(5).label_map.copy()))


def test_masks_name_the_class_of_what_owns_a_pixel():
    task = Task("typographic", "test")
    made, batch = task.rendering(3), task.images(count=4, masks="labels")[3]
    names = task.class_names.names
    expected = np.full_like(made.label_map, -1)
    for number, thing in enumerate(made.scene.objects):
        expected[made.object_masks[number]] = names.index(thing.kind)
    expected[made.label_map == -3] = -3
    assert np.array_equal(batch.masks[0].numpy(), expected)
    assert {-3, -1, int(batch.labels[0])} <= set(np.unique(expected))


def test_objects_that_are_no_class_have_a_mark_of_their_own():
    made = Task("repeats", "test").images(count=1, masks="labels")[0].masks
    assert made.min() >= -3 and (made >= 0).any()
    assert (Task("counting").images(count=1, masks="labels")[0].masks == -2).any()


def test_class_names_have_emoji():
    assert Task("kinds").class_names.label(0) == "🐱 cat"
    assert Task("counting").class_names.emoji is None


def test_negative_places_count_from_the_end():
    task = Task("kinds", "test")
    assert np.array_equal(task[-1][0], task[len(task) - 1][0])


def test_a_clip_has_frames():
    picture, label = Task("motion", "test")[0]
    assert picture.shape == (8, 96, 96, 3)
    assert label in range(4)
