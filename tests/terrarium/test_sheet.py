"""Contact sheets."""

import numpy as np

from vitreous.terrarium import Task, contact_sheet


def test_a_sheet_shows_the_pictures_themselves():
    task = Task("kinds", "test")
    sheet = np.asarray(contact_sheet(task, [4, 9], columns=2, labels=False))
    assert np.array_equal(sheet[8:104, 8:104], task[4][0])
    assert np.array_equal(sheet[8:104, 112:208], task[9][0])


def test_labels_stand_below():
    task = Task("kinds", "test")
    assert (
        contact_sheet(task, 6, columns=3).height
        > contact_sheet(task, 6, columns=3, labels=False).height
    )


def test_clips_and_several_labels_have_sheets_too():
    for name in ("motion", "scenes"):
        assert contact_sheet(Task(name, "test"), 2).width == 216
