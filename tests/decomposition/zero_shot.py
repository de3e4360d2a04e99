"""A random image tower with classes that are directions of its embedding."""

import torch

from tests.tiny import random_model
from vitreous.data import ClassNames
from vitreous.models import ZeroShotClassifier

NAMES = ("cat", "dog", "bird", "fish")


def random_classifier(**changes) -> ZeroShotClassifier:
    image = random_model(**{"n_classes": 6, "head_bias": False} | changes)
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(len(NAMES), 6, generator=generator, dtype=torch.float64)
    weights = weights / weights.norm(dim=-1, keepdim=True)
    scale, bias = torch.tensor(9.0, dtype=torch.float64), torch.tensor(-1.5, dtype=torch.float64)
    return ZeroShotClassifier(image, weights, scale, bias, ClassNames(NAMES))
