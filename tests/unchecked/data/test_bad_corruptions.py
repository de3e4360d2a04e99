"""Pictures and masks that can't be corrupted, or not as asked: one line each."""

import re
import sys

import numpy as np
import pytest
import torch

from vitreous._errors import ImageError, MissingDependencyError
from vitreous.data import (
    blur_region,
    inpaint_region,
    mean_region,
    noise_region,
    paint_word,
    resample_region,
    shuffle_patches,
    swap_objects,
)

PICTURE = np.zeros((8, 12, 3), np.uint8)
BATCH = np.zeros((2, 8, 12, 3), np.uint8)
ALL, NONE = np.ones((8, 12), bool), np.zeros((8, 12), bool)
HALF = ALL.copy()
HALF[4:] = False
TWO = np.stack([HALF, NONE])
PREPARED = torch.zeros(1, 3, 8, 12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_region(PICTURE, HALF.astype(int)), "`masks` must be bool and as large as"),
        (lambda: mean_region(PICTURE, ALL.T), r"got bool \[12, 8\]"),
        (lambda: mean_region(BATCH, HALF[None]), r"\[8, 12\] or \[2, 8, 12\]; got bool \[1, 8"),
        (lambda: mean_region(BATCH, TWO), "a pixel of every picture; got none in picture 1"),
        (lambda: mean_region(PICTURE, ALL), "must leave a pixel, to take the mean of"),
        (lambda: inpaint_region(PICTURE, ALL), "must leave a pixel, to fill the region from"),
        (lambda: mean_region(PICTURE, HALF, of="object"), "or 3 numbers, one per channel"),
        (lambda: mean_region(PICTURE, HALF, of=(1, 2)), r"one per channel; got \(1, 2\)"),
        (lambda: blur_region(PICTURE, HALF, sigma=0), "`sigma` must be positive; got 0"),
        (lambda: blur_region(PICTURE, HALF, sigma=float("nan")), "`sigma` must be positive"),
        (lambda: noise_region(PICTURE, HALF, seed=0, strength=-1), "at least 0; got -1"),
        (lambda: resample_region(PICTURE, HALF, seed=0), "where there is but one picture"),
        (lambda: resample_region(PICTURE, HALF, BATCH[:, :4], seed=0), r"\(channels, rows, co"),
        (lambda: resample_region(PREPARED, HALF, BATCH, seed=0), "Prepare both in one way"),
        (lambda: inpaint_region(PICTURE, HALF, method="lama"), "telea, navier-stokes; got 'lama'"),
        (lambda: inpaint_region(PICTURE, HALF, radius=0), "`radius` must be positive; got 0"),
        (lambda: shuffle_patches(PICTURE, 5, seed=0), "8 x 12 pixels; got 5 x 5"),
        (lambda: shuffle_patches(PICTURE, 0, seed=0), "8 x 12 pixels; got 0 x 0"),
        (lambda: shuffle_patches(PICTURE, (8, 12), seed=0), "two whole cells of 8 x 12"),
        (lambda: shuffle_patches(PICTURE, (4, 12), HALF, seed=0), "got 1 in picture 0"),
        (lambda: swap_objects(BATCH, HALF, np.stack([PICTURE] * 3), HALF), "one picture or 2,"),
        (lambda: swap_objects(PREPARED, HALF, PICTURE, HALF), "`others` must be one picture or 1"),
        (lambda: swap_objects(BATCH, HALF, PICTURE, NONE), "`other_masks` must mark a pixel"),
        (lambda: paint_word(PICTURE, "é"), "must be written with A-Z.* got 'É'"),
        (lambda: paint_word(PICTURE, ""), "must be a text with a letter; got ''"),
        (lambda: paint_word(PICTURE, "pear", height=0.5), "which takes .* of its width and"),
        (lambda: paint_word(BATCH, ["A"] * 3), "one for each of 2 pictures; got 3"),
        (lambda: paint_word(PREPARED, "A", at=(0.5, 0.5)), "Pass `model.preprocessing`"),
        (lambda: paint_word(torch.zeros(1, 4, 8, 12), "A", at=(0.5, 0.5)), "1 or 3 channels"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("cat.jpg", "got str. Open a file with `vt.data.open_image`"),
        (PICTURE.astype(float), "got float64 [8, 12, 3]"),
        (np.zeros((3, 8, 12), np.uint8), "got uint8 [3, 8, 12]"),
        (np.zeros((0, 12, 3), np.uint8), "got uint8 [0, 12, 3]"),
        (torch.zeros(8, 12), "got float32 [8, 12]"),
        (torch.zeros(1, 3, 8, 12, dtype=torch.int64), "got int64 [1, 3, 8, 12]"),
    ],
)
def test_pictures_of_another_form_are_refused(images, message):
    with pytest.raises(ImageError, match=re.escape(message)):
        mean_region(images, HALF)


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vitreous\[corrupt\]'"):
        inpaint_region(PICTURE, HALF)
