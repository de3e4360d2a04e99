"""One fitting loop that survives a kill, streamed dataset means, and the recipes of our models."""

from vitreous.training._augmentations import Shift
from vitreous.training._batches import Augmentation, unchanged
from vitreous.training._fit import accuracy, fit
from vitreous.training._interchange import (
    InterchangeLoss,
    interchange_accuracy,
    strict_accuracy,
)
from vitreous.training._logs import (
    CsvLog,
    Log,
    Progress,
    Start,
    TensorBoardLog,
    WandbLog,
    find_log,
)
from vitreous.training._losses import Loss, cross_entropy, cross_entropy_with_patches
from vitreous.training._means import means
from vitreous.training._plan import Plan, log_spaced
from vitreous.training._recipe import Measure, Recipe, new_model, train
from vitreous.training._recipes import RECIPES, find_recipe
from vitreous.training._run_folder import RunFolder
from vitreous.training._trainer import is_main_process

__all__ = [
    "RECIPES",
    "Augmentation",
    "CsvLog",
    "InterchangeLoss",
    "Log",
    "Loss",
    "Measure",
    "Plan",
    "Progress",
    "Recipe",
    "RunFolder",
    "Shift",
    "Start",
    "TensorBoardLog",
    "WandbLog",
    "accuracy",
    "cross_entropy",
    "cross_entropy_with_patches",
    "find_log",
    "find_recipe",
    "fit",
    "interchange_accuracy",
    "is_main_process",
    "log_spaced",
    "means",
    "new_model",
    "strict_accuracy",
    "train",
    "unchanged",
]
