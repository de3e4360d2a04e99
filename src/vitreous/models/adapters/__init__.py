"""One file per source library: configuration, weights, preprocessing and labels to ours."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from vitreous.models._vit import HookedViT

LOADERS: "dict[str, Callable[[str, Any, Any], HookedViT]]" = {}
CONVERTERS: "list[tuple[Callable[[nn.Module], bool], Callable[[Any], HookedViT]]]" = []
