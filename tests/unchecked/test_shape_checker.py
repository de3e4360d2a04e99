"""Shapes are not checked in this run, as for users (counterpart of tests/test_shape_checker.py)."""

import jaxtyping
import pytest
import torch

from vitreous.data import DIGIT_PREPROCESSING


def test_a_wrong_shape_is_left_to_the_function_itself():
    with pytest.raises(RuntimeError) as caught:
        DIGIT_PREPROCESSING.inverse(torch.zeros(2))
    assert not isinstance(caught.value, jaxtyping.TypeCheckError)
