"""Data sets, batch by batch."""

import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous.data import Images
from vitreous.models import image_tower, require_finite, stream

PIXELS = random_images(7)


def test_a_tensor_and_images_of_it_stream_the_same():
    model = random_model()
    images = Images.from_tensor(PIXELS, torch.arange(7))
    plain = list(stream(model, PIXELS, batch_size=3))
    labeled = list(stream(model, images, batch_size=3))
    assert [len(batch) for batch in plain] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.pixels for batch in plain]), PIXELS)
    for one, other in zip(plain, labeled, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.index, other.index)
        assert one.labels is None
        assert torch.equal(other.labels, other.index)


def test_images_arrive_in_the_precision_of_the_model():
    [batch] = stream(random_model().float(), PIXELS)
    assert batch.pixels.dtype == torch.float32


def test_no_images_are_an_error():
    with pytest.raises(ValueError, match="`images` must hold an image; got none"):
        next(stream(random_model(), PIXELS[:0]))


def test_the_tower_of_a_tower_is_itself():
    model = random_model()
    assert image_tower(model) is model


def test_values_that_are_no_numbers_are_named():
    values = torch.tensor([1.0, torch.nan, torch.inf])
    with pytest.raises(ValueError, match="`logits` must be finite; got 2 of 3 values"):
        require_finite(values, "logits")
    assert require_finite(values[:1], "logits") is not None
