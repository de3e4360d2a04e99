"""Which shipped models a benchmark measures, and scenes that all of them see."""

from collections.abc import Collection

import vitreous as vt
from vitreous.data import Images
from vitreous.models import HookedViT, shipped_models
from vitreous.training import RECIPES

STANDARD = RECIPES["terrarium-4l"]
KINDS = {name for name, recipe in RECIPES.items() if recipe.images is STANDARD.images}
"""The models that learned the terrarium's task `kinds`; others answer other questions."""


def models_of(folders: list[str], known: Collection[str]) -> dict[str, HookedViT]:
    """By the names on their cards those in folders; or of the shipped ones the `known`."""
    names = folders or [name for name in shipped_models() if name in known]
    return {model.card["name"]: model for model in map(vt.load, names)}


def in_memory(scenes: Images, batch_size: int = 70) -> Images:
    """The same, drawn once for all models."""
    every = scenes[:]
    return Images.from_tensor(
        every.pixels,
        every.labels,
        every.masks,
        batch_size=batch_size,
        class_names=scenes.class_names,
    )
