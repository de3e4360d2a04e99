"""One adapter per source library: configuration, weights, preprocessing and labels to ours."""

from collections.abc import Callable
from typing import Any

from torch import nn

from vitreous.models._vit import HookedViT
from vitreous.models.adapters import _timm

LOADERS: dict[str, Callable[[str, Any, Any], HookedViT]] = {"timm": _timm.load_timm}
CONVERTERS: list[tuple[Callable[[nn.Module], bool], Callable[[Any], HookedViT]]] = [
    (_timm.is_timm_vit, _timm.convert)
]
