"""Tokens that can't be left out: one line each."""

import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous.models import PoolingConfig, without_tokens


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ("cls", "`positions` must be patches; got a class, distillation or register token"),
        ([0, 3], "`positions` must be patches"),
        ("patches", "at least one of 6 and not all; got 6"),
        (torch.zeros(2, 3, 2, dtype=torch.bool), "at least one of 6 and not all; got 0"),
        (torch.eye(3)[:2, :, None].expand(-1, -1, 2).bool().logical_and(
            torch.tensor([[[True, True]], [[True, False]]])), "got 1 and 2"),
        ([9], "must lie in 0..6"),
    ],
)  # fmt: skip
def test_what_cannot_be_left_out_is_said(positions, message):
    model = random_model()
    with pytest.raises(ValueError, match=message):
        without_tokens(model, images_of(model), positions)


def test_the_token_that_is_read_by_its_place_must_stay():
    model = random_model(cls_token=False, pooling=PoolingConfig("first"))
    with pytest.raises(ValueError, match="must leave the token that the head reads"):
        without_tokens(model, images_of(model), [0])
    assert without_tokens(model, images_of(model), [1]).shape == (2, 5, 16)
