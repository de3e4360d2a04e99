"""One fitting loop, streamed dataset means, and the recipes of the models we ship."""

from vitreous.training._augmentations import Shift
from vitreous.training._fit import Augmentation, Plan, Progress, accuracy, fit, unchanged
from vitreous.training._means import means
from vitreous.training._recipes import RECIPES, Recipe, find_recipe, new_model, train

__all__ = [
    "RECIPES",
    "Augmentation",
    "Plan",
    "Progress",
    "Recipe",
    "Shift",
    "accuracy",
    "find_recipe",
    "fit",
    "means",
    "new_model",
    "train",
    "unchanged",
]
