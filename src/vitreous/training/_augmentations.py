"""Changes that leave a picture's label true."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Shift:
    """Moves every picture by whole pixels, up to `reach` in each direction, on its own.

    Attributes:
        reach: In pixels.
        background: Value of what comes in from outside.
    """

    reach: int
    background: float

    def __call__(
        self, pixels: Float[Tensor, "batch channels rows columns"], generator: torch.Generator
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Shifts a batch; all chance comes from the generator."""
        rows, columns = pixels.shape[2:]
        wide = functional.pad(pixels, (self.reach,) * 4, value=self.background)
        corners = torch.randint(2 * self.reach + 1, (len(pixels), 2), generator=generator).tolist()
        moved = [
            image[:, top : top + rows, left : left + columns]
            for image, (top, left) in zip(wide, corners, strict=True)
        ]
        return torch.stack(moved)
