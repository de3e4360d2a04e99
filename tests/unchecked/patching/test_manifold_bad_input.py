"""Clean data that say nothing, and requests that contradict each other: one line each."""

import re
import sys

import pytest
import torch

from tests.tiny import images_of, random_images, random_model
from vitreous._errors import MissingDependencyError
from vitreous.patching import CleanActivations, manifold_distance

MODEL = random_model()
CLEAN, OTHERS = random_images(20, seed=2), random_images(3, seed=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: manifold_distance(MODEL, CLEAN[:7], OTHERS), "at least 8 clean images; got 7."),
        (lambda: manifold_distance(MODEL, CLEAN, OTHERS, layers=[3]), "in 0..2; got [3]."),
        (lambda: manifold_distance(MODEL, CLEAN, OTHERS, layers=[]), "in 0..2; got []."),
        (lambda: manifold_distance(MODEL, CLEAN), "one only; got neither. Pass one."),
        (
            lambda: manifold_distance(
                MODEL, CLEAN, OTHERS, cache=MODEL.run_with_cache(OTHERS)[1]
            ),
            "one only; got both. Pass one.",
        ),
        (lambda: manifold_distance(MODEL, CLEAN[:1].expand(9, -1, -1, -1), OTHERS), "at layer 0"),
        (lambda: manifold_distance(MODEL, CLEAN, OTHERS * torch.nan), "must be finite; got"),
        (lambda: manifold_distance(MODEL, CLEAN, OTHERS[:0]), "`images` must hold an image"),
        (
            lambda: manifold_distance(random_model(1), CleanActivations.of(MODEL, CLEAN), OTHERS),
            "`reference` must be of this model; got clean activations of another.",
        ),
        (
            lambda: manifold_distance(
                MODEL, CleanActivations.of(MODEL, CLEAN), OTHERS, positions="patches"
            ),
            "must be left out where `reference` has its own; got None and 'patches'.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said(call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.covariance", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vitreous\[ml\]'"):
        manifold_distance(MODEL, images_of(MODEL, 9), OTHERS)
