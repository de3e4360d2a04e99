"""By how much the sources of stacked runs differ from what stands in for them."""

import torch
from jaxtyping import Float
from torch import Tensor


class LiveDifferences:
    """Of every set of edges its own differences, source by source as they are written.

    Attributes:
        first: The first source that differs from set to set.
    """

    def __init__(self, first: int, shape: tuple[int, ...], like: Tensor, *, in_graph: bool) -> None:
        self.first = first
        self._count = 0
        # A buffer that is filled in place would spoil what a backward pass reads.
        self._values = like.new_empty(shape[0], 0 if in_graph else shape[1], *shape[2:])
        self._in_graph = in_graph

    def append(self, new: Float[Tensor, "sets sources batch positions d_model"]) -> None:
        if self._in_graph:
            self._values = torch.cat([self._values, new], 1)
        else:
            self._values[:, self._count : self._count + new.shape[1]] = new
        self._count += new.shape[1]

    def of_set(self, place: int) -> Float[Tensor, "sources batch positions d_model"]:
        return self._values[place, : self._count]

    def keep_tokens(self, tokens: list[int]) -> None:
        """Drops all other tokens."""
        self._values = self._values[..., tokens, :]

    @property
    def end(self) -> int:
        """The source behind those that are there."""
        return self.first + self._count
