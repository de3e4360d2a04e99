"""One model of a library, as the registry wants it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn


def as_it_is(value: Tensor, config: Any) -> Tensor:
    """The source's order is ours."""
    del config
    return value


class Case(NamedTuple):
    """A small model of an architecture; several of one name are counted as one.

    Attributes:
        name: What the library calls the architecture.
        make: Builds the small model in float64 and evaluation mode, all weights random.
        inputs: Images, clips or texts for the model that `make` built.
        blocks: The parts of that model whose outputs are the residual stream.
        whole: Builds the architecture in full size, without memory for weights.
        config: What such a model is made of, in our terms: a configuration of ours.
        run: From model and inputs to logits or an embedding.
        variant: What sets this small model apart from others of its name.
        tower: Which one is compared, of a model that may have two.
        arrange: Brings the source's stream into the order of ours, given our configuration.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[Any], Tensor]
    blocks: Callable[[Any], Iterable[nn.Module]]
    whole: Callable[[], Any]
    config: Callable[[Any], Any]
    run: Callable[[Any, Tensor], Tensor] = lambda model, inputs: model(inputs)
    variant: str = ""
    tower: Literal["image", "text"] | None = None
    arrange: Callable[[Tensor, Any], Tensor] = as_it_is


class Family(NamedTuple):
    """What is counted together: a class in timm, elsewhere what goes in.

    Attributes:
        library: As `vt.list_models` calls it.
        name: Of the family.
        cases: Gives all of it.
        target: The least share that must load.
    """

    library: str
    name: str
    cases: Callable[[], Iterator[Case]]
    target: float

    @property
    def title(self) -> str:
        return f"{self.library} {self.name}"
