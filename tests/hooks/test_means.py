"""Means know their shape, and come back from disk."""

import pytest
import torch

from vitreous._errors import UnknownNameError
from vitreous.hooks import Means

TOKENS = ("image", "token", "head", "d_head")
PATTERN = ("image", "head", "query", "key")


def means(by, **shapes):
    axes = {"z": TOKENS, "pattern": PATTERN, "logits": ("image", "label")}
    values = {name: torch.randn(shape) for name, shape in shapes.items()}
    return Means(values, by, {name: axes[name] for name in values}, 7, "seven images")


@pytest.mark.parametrize(
    ("by", "shapes", "expected"),
    [
        (None, {"z": (2, 4)}, {"z": (1, 2, 4)}),
        (None, {"pattern": (2, 9)}, {"pattern": (2, 1, 9)}),
        (None, {"logits": (5,)}, {"logits": (5,)}),
        ("position", {"z": (9, 2, 4)}, {"z": (9, 2, 4)}),
        ("position", {"pattern": (2, 9, 9)}, {"pattern": (2, 9, 9)}),
        ("label", {"z": (5, 2, 4)}, {"z": (5, 1, 2, 4)}),
        ("label", {"pattern": (5, 2, 9)}, {"pattern": (5, 2, 1, 9)}),
    ],
)
def test_a_mean_fits_the_point_that_it_is_of(by, shapes, expected):
    found = means(by, **shapes)
    for name, shape in expected.items():
        assert found.at(name).shape == shape
        assert torch.equal(found.at(name).flatten(), found.values[name].flatten())


def test_saved_means_come_back(tmp_path):
    saved = means("label", z=(5, 2, 4), pattern=(5, 2, 9))
    saved.save(tmp_path / "means.safetensors")
    loaded = Means.load(tmp_path / "means.safetensors")
    assert (loaded.by, loaded.axes, loaded.count, loaded.description) == (
        "label", saved.axes, 7, "seven images",
    )  # fmt: skip
    assert loaded.values.keys() == saved.values.keys()
    assert all(torch.equal(loaded.values[name], value) for name, value in saved.values.items())


def test_a_mean_that_was_not_taken_raises():
    with pytest.raises(UnknownNameError, match="No mean is named 'q'"):
        means(None, z=(2, 4)).at("q")
