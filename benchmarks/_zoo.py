"""Which shipped models a benchmark measures."""

from collections.abc import Collection

import vitreous as vt
from vitreous.models import HookedViT, shipped_models
from vitreous.training import RECIPES

STANDARD = RECIPES["terrarium-4l"]
KINDS = {name for name, recipe in RECIPES.items() if recipe.images is STANDARD.images}
"""The models that learned the terrarium's task `kinds`; others answer other questions."""


def models_of(folders: list[str], known: Collection[str]) -> dict[str, HookedViT]:
    """By the names on their cards those in folders; or of the shipped ones the `known`."""
    names = folders or [name for name in shipped_models() if name in known]
    return {model.card["name"]: model for model in map(vt.load, names)}
