"""The bundled handwritten digits."""

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from vitreous.data import DIGIT_PREPROCESSING, digits


def test_the_split_is_disjoint_whole_and_stratified():
    train, test = digits("train"), digits("test")
    assert len(train) + len(test) == 1797
    counts = torch.bincount(test[:].labels) / torch.bincount(
        torch.cat([train[:].labels, test[:].labels])
    )
    assert (counts - 0.2).abs().max() < 0.01


def test_test_pictures_are_every_fifth_scan_of_their_digit():
    bundled = load_digits()
    zeros = bundled.images[bundled.target == 0]
    fifth = Image.fromarray(np.rint(zeros[4] * 255 / 16).astype(np.uint8))
    held_out = digits("test")[:]
    first_zero = held_out.pixels[held_out.labels == 0][:1]
    assert torch.equal(first_zero, DIGIT_PREPROCESSING(fifth))


def test_training_pictures_are_about_standard_normal():
    pixels = digits("train")[:].pixels
    assert pixels.shape[1:] == (1, 64, 64)
    assert abs(pixels.mean()) < 0.05
    assert abs(pixels.std() - 1) < 0.05


def test_a_saved_scan_at_the_input_size_is_prepared_without_change(tmp_path):
    pixels = digits("test")[0].pixels
    shown = DIGIT_PREPROCESSING.inverse(pixels)[0, :, :, 0]
    Image.fromarray(shown.numpy()).save(tmp_path / "digit.png")
    assert torch.equal(DIGIT_PREPROCESSING(tmp_path / "digit.png"), pixels)
