"""Shapes are checked in this run; tests/unchecked/test_shape_checker.py is its counterpart."""

import pytest
import torch
from jaxtyping import TypeCheckError

from vitreous.data import DIGIT_PREPROCESSING


def test_a_wrong_shape_is_noticed_at_the_call():
    with pytest.raises(TypeCheckError, match="Float"):
        DIGIT_PREPROCESSING.inverse(torch.zeros(2))


def test_a_wrong_type_is_noticed_at_the_call():
    with pytest.raises(TypeCheckError, match="interpolation"):
        type(DIGIT_PREPROCESSING)(image_size=(8, 8), mean=(0.5,), std=(0.5,), interpolation=3)
