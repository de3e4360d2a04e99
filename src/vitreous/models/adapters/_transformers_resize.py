"""A model of transformers as its source is when it is given images of another size."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from vitreous.models._config import HookedViTConfig
from vitreous.models._position_grids import resampled


def resized(
    by_place: dict[str, Tensor], cfg: HookedViTConfig, size: tuple[int, int]
) -> tuple[dict[str, Tensor], HookedViTConfig]:
    """Weights and configuration with positions of another grid.

    What was resampled here isn't once more: the model takes images of that size alone.

    Args:
        by_place: Weights by the places of `_transformers_weights`.
        cfg: Of the model at the size that its weights are of.
        size: Pixel rows and columns.

    Raises:
        ValueError: Patches don't tile the size, or the source can't resample these positions.
    """
    if any(side % patch for side, patch in zip(size, cfg.patch_shape, strict=True)):
        raise ValueError(
            f"`image_size` must be a multiple of the patches, {cfg.patch_shape[0]} x "
            f"{cfg.patch_shape[1]}; got {size[0]} x {size[1]}. Pass another."
        )
    new = cfg.replace(image_size=size)
    if new.grid == cfg.grid:
        return by_place, new
    tensors = {place: _resized(place, x, cfg, new.grid) for place, x in by_place.items()}
    if cfg.position is None or cfg.position.resample is None:
        return tensors, new
    once = dataclasses.replace(cfg.position.resample, always=False)
    return tensors, new.replace(position=dataclasses.replace(cfg.position, resample=once))


def _resized(place: str, tensor: Tensor, cfg: HookedViTConfig, grid: tuple[int, int]) -> Tensor:
    if place == "embedding.pos" and cfg.position is not None:
        if cfg.position.resample is None:
            raise ValueError(
                "`image_size` must be left out where positions are not those of a square, or of "
                "clips, which transformers can't resample; got "
                f"{' x '.join(map(str, cfg.places))} of them. Leave it out."
            )
        rows = tensor.reshape(-1, cfg.d_model)
        n_still = len(rows) - cfg.grid[0] * cfg.grid[1]
        return resampled(rows, n_still, cfg.grid, grid, cfg.position.resample)
    if place.endswith("relative_bias.table") or place == "shared_table":
        return _resized_offsets(tensor, cfg.grid, grid)
    return tensor


def _resized_offsets(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """BEiT's table of a number for each offset between patches, and three for the class token."""
    offsets, rest = table[:-3], table[-3:]
    image = offsets.unflatten(0, (2 * old[0] - 1, 2 * old[1] - 1)).permute(2, 0, 1)[None]
    size = (2 * new[0] - 1, 2 * new[1] - 1)
    image = functional.interpolate(image, size=size, mode="bilinear")
    return torch.cat([image[0].flatten(1).T, rest])
