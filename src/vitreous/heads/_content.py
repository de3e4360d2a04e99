"""How much heads' attention depends on the image."""

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.heads._seen import Seen


class Content:
    """Sums over images from which the overlap of all pairs of images follows."""

    def __init__(self) -> None:
        self._sum = self._squares = torch.zeros(())
        self.count = 0

    def add(self, seen: Seen) -> None:
        """Takes in the attention of one layer."""
        chosen = seen.attention[:, :, seen.setting.selected]
        self._sum = self._sum + chosen.sum(0)
        self._squares = self._squares + chosen.double().square().sum((0, 2, 3))
        self.count += len(chosen)

    def value(self) -> Float[Tensor, " heads"]:
        """1 less the mean overlap of two images, as a part of that of an image with itself.

        An overlap is the product of two patterns, summed over selected queries and keys. 0: all
        images have the same pattern; 1: two images' patterns have nothing in common. NaN for a
        single image.
        """
        if self.count < 2:
            return torch.full_like(self._squares, torch.nan)
        pairs = self._sum.double().square().sum((-2, -1)) - self._squares
        return 1 - pairs / ((self.count - 1) * self._squares)
