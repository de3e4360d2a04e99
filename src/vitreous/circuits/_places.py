"""Sums of what sources wrote, with weights that differ from group to group of tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Places:
    """Where the tokens of each group are, in a batch of images; None for one group of all.

    Attributes:
        groups: Of each group its tokens, counted through the whole batch.
        order: From tokens sorted by groups to tokens in place.
    """

    groups: tuple[Int[Tensor, " _"], ...] | None = None
    order: Int[Tensor, " tokens"] | None = None

    @classmethod
    def of(cls, index: Int[Tensor, "batch tokens"] | None, n_groups: int) -> "Places":
        """From the group of each token."""
        if index is None:
            return cls()
        flat = index.flatten()
        groups = tuple((flat == group).nonzero().flatten() for group in range(n_groups))
        return cls(groups, torch.cat(groups).argsort())

    def weighed(
        self,
        weights: Float[Tensor, "destinations groups sources"],
        values: Float[Tensor, "sources batch positions d_model"],
    ) -> Float[Tensor, "destinations batch positions d_model"]:
        """The weighted sum of `values`, for each reader."""
        shape = values.shape[1:]
        if self.groups is None or self.order is None:
            return (weights[:, 0] @ values.flatten(1)).unflatten(1, shape)
        by_token = values.flatten(1, 2)
        sums = [
            weights[:, group] @ by_token[:, where].flatten(1)
            for group, where in enumerate(self.groups)
        ]
        by_group = torch.cat(sums, 1).unflatten(1, by_token.shape[1:])
        return by_group[:, self.order].unflatten(1, shape[:2])
