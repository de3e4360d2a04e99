"""Pairs of images, and what a target says of them."""

import torch

from tests.tiny import random_images, random_model
from vitreous.models import Pairs


def test_values_are_those_of_the_target_and_lie_between_zero_and_one_when_normalized():
    model, clean, corrupt = random_model(), random_images(3), random_images(3, seed=2)
    target = model.target(0, minus=1)
    pairs = Pairs.of(model, clean, corrupt, target, max_batch=2)
    torch.testing.assert_close(pairs.clean_value, target(model(clean)))
    torch.testing.assert_close(pairs.corrupt_value, target(model(corrupt)))
    assert pairs.normalized(pairs.clean_value).tolist() == [1, 1, 1]
    assert pairs.normalized(pairs.corrupt_value).tolist() == [0, 0, 0]


def test_one_target_per_image_goes_with_its_pair():
    model, clean, corrupt = random_model(), random_images(3), random_images(3, seed=2)
    pairs = Pairs.of(model, clean, corrupt, model.target([0, 1, 2]))
    parts = list(pairs.batches(2))
    assert [len(part) for part in parts] == [2, 1]
    for part, row in zip(parts, (0, 2), strict=True):
        own = part.target(model(part.clean))[0]
        torch.testing.assert_close(own, pairs.clean_value[row])


def test_one_corrupt_image_stands_for_all():
    model, clean, corrupt = random_model(), random_images(3), random_images(1, seed=2)
    pairs = Pairs.of(model, clean, corrupt, 0)
    assert len(set(pairs.corrupt_value.tolist())) == 1 and len(pairs.corrupt_value) == 3
