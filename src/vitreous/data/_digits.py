"""Real handwritten digits, as scikit-learn bundles them: small, free, and always there."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from vitreous._errors import unknown
from vitreous._optional import needs
from vitreous.data._class_names import ClassNames
from vitreous.data._images import Images
from vitreous.data._preprocessing import Preprocessing

DIGIT_NAMES = ClassNames(
    names=(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
    ),
    emoji=tuple(f"{digit}\ufe0f\u20e3" for digit in range(10)),
)
"""Names of the ten digits, with the keycap emoji."""

DIGIT_PREPROCESSING = Preprocessing(
    image_size=(64, 64), mean=(0.3,), std=(0.35,), crop_fraction=1.0, n_channels=1
)
"""Scans of 8 x 8, scaled up bicubically to 64 x 64 in gray: a scanned point fills a patch of 8."""

_SPLITS = ("train", "test")
_TEST_EVERY = 5


def digits(
    split: str,
    preprocessing: Preprocessing = DIGIT_PREPROCESSING,
    *,
    batch_size: int = 64,
) -> Images:
    """The 1797 scans of handwritten digits that come with scikit-learn, prepared for a model.

    The split is fixed and stratified without a random number: of each digit, in the order of
    the data set, every fifth scan is a test picture. That makes 1442 for training and 355 for
    testing. The same 13 writers are in both, so accuracy says nothing about new writers.

    Args:
        split: "train" or "test".
        preprocessing: How the 8 x 8 scan, white on black, becomes the model's input.
        batch_size: Pictures per batch of an iteration.

    Returns:
        Prepared pictures with labels, held in memory.

    Raises:
        MissingDependencyError: scikit-learn isn't installed.
        UnknownNameError: Neither of the two.

    References:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its
        test part).
    """
    if split not in _SPLITS:
        raise unknown("split of `digits`", split, _SPLITS, "It has train and test.")
    scans, labels = _scans()
    chosen = [i for i, held_out in enumerate(_held_out(labels)) if held_out == (split == "test")]
    pixels = preprocessing([Image.fromarray(scans[i].numpy()) for i in chosen])
    return Images.from_tensor(
        pixels, labels[chosen], batch_size=batch_size, class_names=DIGIT_NAMES
    )


def _held_out(labels: Int[Tensor, " batch"]) -> list[bool]:
    seen = [0] * len(DIGIT_NAMES)
    chosen = []
    for label in labels.tolist():
        seen[label] += 1
        chosen.append(seen[label] % _TEST_EVERY == 0)
    return chosen


@cache
def _scans() -> tuple[UInt8[Tensor, "batch rows columns"], Int[Tensor, " batch"]]:
    bundled = needs("sklearn.datasets", extra="ml", feature="digits()").load_digits()
    levels = np.rint(bundled.images * (255 / 16)).astype(np.uint8)  # scans count ink in 0..16
    return torch.from_numpy(levels), torch.from_numpy(bundled.target.astype(np.int64))
