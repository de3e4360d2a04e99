"""One name of a library, as the coverage table wants it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import Tensor, nn


class Case(NamedTuple):
    """A name of a library.

    Attributes:
        name: What the library calls the architecture.
        make: Builds it in float64 and evaluation mode, all weights random.
        images: Images for the model that `make` built.
        blocks: The parts of that model whose outputs are the residual stream.
        run: From model and images to logits or an embedding.
    """

    name: str
    make: Callable[[], nn.Module]
    images: Callable[[Any], Tensor]
    blocks: Callable[[Any], Iterable[nn.Module]]
    run: Callable[[Any, Tensor], Tensor] = lambda model, images: model(images)
