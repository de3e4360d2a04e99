"""Rows, columns and offsets of the patches of a grid."""

from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.models import TokenLayout


class Places:
    """Where patches are, and what lies at which offset from which.

    An offset is what the key's frame, row and column exceed those of the query by: with (0, -1, 2)
    the head looks one patch up and two to the right. All of them are numbered in that order.

    Args:
        layout: Of the run.
        device: Where the tensors are.
    """

    def __init__(self, layout: TokenLayout, device: torch.device) -> None:
        layout.require_grid()
        self.layout, self.device = layout, device
        self.sizes = layout.grid
        patch = torch.arange(layout.n_patches, device=device)
        _, rows, columns = self.sizes
        self.frame, self.row, self.column = (
            patch // (rows * columns), patch // columns % rows, patch % columns
        )  # fmt: skip

    @cached_property
    def offsets(self) -> Int[Tensor, "components 3"]:
        """Frames, rows and columns of each offset."""
        ranges = [torch.arange(1 - size, size, device=self.device) for size in self.sizes]
        return torch.cartesian_prod(*ranges)

    @cached_property
    def offset_of(self) -> Int[Tensor, "patches patches"]:
        """The number of the offset between two patches."""
        number = torch.zeros((), dtype=torch.long, device=self.device)
        for place, size in zip((self.frame, self.row, self.column), self.sizes, strict=True):
            number = number * (2 * size - 1) + (place[None] - place[:, None]) + size - 1
        return number

    def by_offset(
        self, attention: Float[Tensor, "batch heads queries keys"]
    ) -> Float[Tensor, "batch heads components"]:
        """Sums of attention from patch to patch, by offset."""
        first = self.layout.n_prefix
        pairs = attention[:, :, first:, first:].flatten(2).movedim(2, 0)
        sums = pairs.new_zeros(len(self.offsets), *pairs.shape[1:])
        return sums.index_add_(0, self.offset_of.flatten(), pairs.contiguous()).movedim(0, 2)

    def of_patches(self, keys: Tensor) -> Tensor:
        """A mask of patches, `[... patches]`, as one of tokens."""
        return torch.nn.functional.pad(keys, (self.layout.n_prefix, 0))

    def between_patches(self, pairs: Tensor) -> Tensor:
        """A mask of pairs of patches, `[... queries keys]`, as one of pairs of tokens."""
        return torch.nn.functional.pad(pairs, (self.layout.n_prefix, 0) * 2)

    @cached_property
    def is_border_row(self) -> Bool[Tensor, " patches"]:
        return (self.row == 0) | (self.row == self.sizes[1] - 1)

    @cached_property
    def is_border_column(self) -> Bool[Tensor, " patches"]:
        return (self.column == 0) | (self.column == self.sizes[2] - 1)

    def mean_over_pairs(
        self,
        attention: Float[Tensor, "batch heads queries keys"],
        values: Float[Tensor, "patches patches"],
        queries: Bool[Tensor, " patches"],
    ) -> Float[Tensor, "batch heads"]:
        """Mean of a value of pairs of patches, weighted by attention; other tokens don't count."""
        first = self.layout.n_prefix
        pairs = attention[:, :, first:, first:] * queries[:, None]
        mass = pairs.sum((-2, -1))
        return (pairs * values.to(pairs.dtype)).sum((-2, -1)) / mass

    def distances(self, height: float = 1, width: float = 1) -> Float[Tensor, "patches patches"]:
        """Between the centers of two patches, within a frame; in patches, or as patches measure."""
        down = (self.row[None] - self.row[:, None]) * height
        right = (self.column[None] - self.column[:, None]) * width
        return (down.double() ** 2 + right.double() ** 2).sqrt()
