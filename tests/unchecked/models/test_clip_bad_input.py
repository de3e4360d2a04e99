"""What a model of images and texts refuses, and what it says."""

import pytest
import torch

from tests.models.test_clip import clip as clip
from tests.models.test_clip import towers
from vitreous.models import HookedCLIP


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda c: c.target(3), TypeError, "must be a text, an embedding, or a tuple"),
        (lambda c: c.target([]), ValueError, "must be a text, an embedding, or a tuple"),
        (lambda c: c.target(torch.zeros(5)), ValueError, r"must have 6 entries; got shape \[5\]"),
        (lambda c: c.zero_shot([]), ValueError, r"got \[\]\. Pass a list"),
        (lambda c: c.zero_shot("cat"), ValueError, "names of one class or more"),
        (lambda c: c.zero_shot(["cat"], ["a photo"]), ValueError, r"with one `\{\}` for the class"),
        (lambda c: c.zero_shot(["cat"], []), ValueError, r"for the class; got \[\]"),
        (lambda c: c.text(torch.zeros(2, 25).long()), ValueError, "up to 24 tokens"),
        (lambda c: c.text(torch.zeros(2, 4)), ValueError, r"got float32 of shape \[2, 4\]"),
        (lambda c: HookedCLIP(c.image, towers(5)[1]), ValueError, "got 6 and 5 dimensions"),
        (lambda c: HookedCLIP(c.image, c.text, logit_scale=-1), ValueError, "positive factor"),
    ],
)
def test_what_can_not_be_is_said(clip, wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(clip)
