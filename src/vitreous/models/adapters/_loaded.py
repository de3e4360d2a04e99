"""What an adapter makes of a name: our model, and the library's own that it is to be equal to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from vitreous.models._clip import HookedCLIP
    from vitreous.models._text import HookedTextTransformer
    from vitreous.models._vit import HookedViT


class Loaded(NamedTuple):
    """A model behind a prefix.

    Attributes:
        model: Ours.
        original: Gives the source library's module with the same weights; None where there is no
            such library.
    """

    model: "HookedViT | HookedTextTransformer | HookedCLIP"
    original: Callable[[], nn.Module] | None
