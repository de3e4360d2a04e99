"""Positions of a grid of patches: computed for it, or resampled from those of another grid."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitreous.models._part_configs import ResampleConfig


def sincos(grid: tuple[int, int], d_model: int, like: Tensor) -> Float[Tensor, "patches d_model"]:
    """Fixed positions of a grid: sines and cosines of the column, then of the row.

    References:
        Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers",
        2021, section 4 (2-D sine-cosine embedding); half of the width per axis, temperature 10000.
    """
    quarter = torch.arange(d_model // 4, dtype=torch.float64) / (d_model // 4)
    omega = 10000.0**-quarter
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in grid)
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    angles = [axis.flatten()[:, None] * omega for axis in (column, row)]
    waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat(waves, dim=1).to(like)


def resampled(
    positions: Float[Tensor, "tokens d_model"],
    n_still: int,
    old: tuple[int, int],
    new: tuple[int, int],
    how: ResampleConfig,
) -> Tensor:
    """Positions of another grid; those of the first tokens, which have no place, stay.

    Args:
        positions: Of the tokens that have no place, and of the patches in reading order.
        n_still: How many have no place.
        old: Rows and columns of these patches.
        new: Rows and columns of those that are wanted.
        how: As the source does it.

    Returns:
        `[tokens, d_model]` of the new grid.
    """
    still, places = positions[:n_still], positions[n_still:]
    image = places.unflatten(0, old).permute(2, 0, 1)[None]
    image = functional.interpolate(
        image.float() if how.in_float32 else image,
        size=new,
        mode=how.filter,
        align_corners=False,
        antialias=how.antialias,
    )
    return torch.cat([still, image[0].flatten(1).T.to(still)])
