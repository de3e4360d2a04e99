"""By how much the sources of stacked runs differ from what stands in for them."""

import torch
from jaxtyping import Float
from torch import Tensor


class LiveDifferences:
    """The differences of every set of edges, source by source as they are written.

    In front of them stands the stream that is read with them, so that what a destination reads
    is one product.
    """

    def __init__(
        self,
        shared: Float[Tensor, "sources batch positions d_model"],
        n_sets: int,
        n_sources: int,
        *,
        in_graph: bool,
    ) -> None:
        """Begins with those that all sets share; of `n_sources` there will be so many."""
        self._in_graph = in_graph
        self._end = 1 + len(shared)
        # A buffer that is filled in place would spoil what a backward pass reads.
        n_rows = self._end if in_graph else 1 + n_sources
        self._values = shared.new_empty(n_sets, n_rows, *shared.shape[1:])
        self._values[:, 1 : self._end] = shared

    def append(self, new: Float[Tensor, "sets sources batch positions d_model"]) -> None:
        end = self._end + new.shape[1]
        if self._in_graph:
            self._values = torch.cat([self._values, new], 1)
        else:
            self._values[:, self._end : end] = new
        self._end = end

    def behind(
        self, stream: Float[Tensor, "#sets batch positions d_model"]
    ) -> Float[Tensor, "sets sources batch positions d_model"]:
        """A stream of every set, and the differences behind it."""
        if self._in_graph:
            stream = stream.expand(len(self._values), *stream.shape[1:])
            return torch.cat([stream[:, None], self._values[:, 1:]], 1)
        self._values[:, 0] = stream
        return self._values[:, : self._end]

    def keep_tokens(self, tokens: list[int]) -> None:
        """Drops all other tokens."""
        self._values = self._values[..., tokens, :]
