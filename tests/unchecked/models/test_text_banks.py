"""Directions of texts that don't fit a tower are refused at once."""

import pytest
import torch

from tests.tiny import random_model
from vitreous.models import ZeroShotClassifier


def test_a_bank_of_another_width_is_refused():
    tower = random_model()
    width = tower.n_outputs
    with pytest.raises(ValueError, match=f"must be {width} wide, .*; got {width + 1}. Pass"):
        ZeroShotClassifier(tower, torch.zeros(3, width + 1), torch.ones(()), None)
