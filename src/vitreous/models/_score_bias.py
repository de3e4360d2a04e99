"""What is added to attention scores whatever the picture."""

from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """A learned number per head for every offset between two patches.

    The last three rows of the table are for pairs with the class token, which stands alone in
    front of the patches: from it to a patch, from a patch to it, and with itself.

    References:
        Bao, Dong, Piao and Wei, "BEiT", 2022 (its code; the paper doesn't number the equation).
    """

    def __init__(self, grid: tuple[int, int], n_heads: int) -> None:
        super().__init__()
        self.grid = grid
        rows, columns = grid
        self.table = nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1) + 3, n_heads))
        self.register_buffer("index", offset_index(grid), persistent=False)

    def _apply(self, *args: Any, **keywords: Any) -> Self:
        """Moves the module; the index is made anew, since `to_empty` doesn't move but forget."""
        super()._apply(*args, **keywords)
        self.index = offset_index(self.grid).to(self.table.device)
        return self

    def forward(self) -> Float[Tensor, "heads queries keys"]:
        """The bias of every pair of tokens."""
        return self.table[self.index].permute(2, 0, 1).contiguous()


def offset_index(grid: tuple[int, int]) -> Int[Tensor, "tokens tokens"]:
    """The row of the table for each pair (query, key), the class token first."""
    rows, columns = grid
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    offset = place[:, None] - place[None, :]
    between = (offset[..., 0] + rows - 1) * (2 * columns - 1) + offset[..., 1] + columns - 1
    n_offsets = (2 * rows - 1) * (2 * columns - 1)
    index = torch.empty(len(place) + 1, len(place) + 1, dtype=torch.long)
    index[1:, 1:] = between
    index[0, :] = n_offsets
    index[:, 0] = n_offsets + 1
    index[0, 0] = n_offsets + 2
    return index


def is_future(n_tokens: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
    """True where the key comes after the query."""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=device).triu(1)
