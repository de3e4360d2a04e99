"""Mean and spread of values that come image by image, without keeping them."""

import torch
from jaxtyping import Float
from torch import Tensor


class Moments:
    """Running count, mean and squared deviation of each entry, in float64; NaNs don't count.

    References:
        Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances", 1979, equations 2.1.
    """

    def __init__(self) -> None:
        self._count = self._mean = self._squares = torch.zeros(())

    def add(self, values: Float[Tensor, "batch ..."]) -> None:
        """Takes in the values of some images."""
        values = values.double()
        there = ~values.isnan()
        count = there.sum(0)
        mean = values.nan_to_num(0).sum(0) / count.clamp(min=1)
        squares = ((values - mean).nan_to_num(0) ** 2).sum(0)
        if not self._count.ndim:
            self._count, self._mean, self._squares = count, mean, squares
            return
        total = (self._count + count).clamp(min=1)
        gap = mean - self._mean
        self._squares = self._squares + squares + gap**2 * self._count * count / total
        self._mean = self._mean + gap * count / total
        self._count = self._count + count

    @property
    def count(self) -> Tensor:
        """How many images had a value."""
        return self._count

    @property
    def mean(self) -> Tensor:
        """NaN where no image had a value."""
        return self._mean.masked_fill(self._count == 0, torch.nan)

    @property
    def spread(self) -> Tensor:
        """Standard deviation over images; NaN below two values."""
        spread = (self._squares / (self._count - 1).clamp(min=1)).sqrt()
        return spread.masked_fill(self._count < 2, torch.nan)
