"""Pictures whose patches stand in another order."""

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from vitreous.data._pixel_forms import Masks, Pixels, as_masks, as_pixels
from vitreous.data._regions import single_cycle


def shuffle_patches(
    images: Pixels, cell: int | tuple[int, int], masks: Masks | None = None, *, seed: int
) -> Pixels:
    """Moves every cell of a grid to another place of the same picture.

    Colors and textures stay, shapes go. Where the cells are a model's patches, it sees the same
    patches at other positions. The order is one random cycle, so that no cell stays where it is;
    that of a picture is a function of the seed and its place in the batch.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        cell: Rows and columns of a cell in pixels; one number means square cells.
        masks: Only cells that lie wholly in this region move; None moves all.
        seed: Another seed, another order.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region.

    Raises:
        ValueError: Cells that don't divide the picture, or fewer than two of them to exchange.

    References:
        Naseer et al., "Intriguing Properties of Vision Transformers", 2021, section 3.1 (shuffled
        patches). Departs from it: no cell keeps its place, and a region can be named.
    """
    form = as_pixels(images)
    values, (height, width) = form.values, (cell, cell) if isinstance(cell, int) else cell
    if height < 1 or width < 1 or values.shape[-2] % height or values.shape[-1] % width:
        raise ValueError(
            f"`cell` must divide the picture's {values.shape[-2]} x {values.shape[-1]} pixels; got "
            f"{height} x {width}. Choose another, or scale the picture."
        )
    where = None if masks is None else as_masks(masks, form)
    cells = _cut(values, height, width)
    moved = cells.clone()
    for i, own in enumerate(cells):
        free = list(range(len(own))) if where is None else _whole(where[i], height, width)
        if len(free) < 2:
            raise ValueError(
                f"The region must hold two whole cells of {height} x {width} pixels; got "
                f"{len(free)} in picture {i}. Choose smaller cells, or a larger region."
            )
        order = single_cycle(len(free), np.random.default_rng([seed, i]))
        moved[i, free] = own[[free[place] for place in order]]
    return form.given_back(_joined(moved, values.shape[-2] // height))


def _cut(
    values: Shaped[Tensor, "batch channels rows columns"], height: int, width: int
) -> Shaped[Tensor, "batch patches channels _ _"]:
    by_row = values.unflatten(-1, (-1, width)).unflatten(-3, (-1, height))
    return by_row.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def _joined(
    cells: Shaped[Tensor, "batch patches channels _ _"], n_rows: int
) -> Shaped[Tensor, "batch channels rows columns"]:
    by_row = cells.unflatten(1, (n_rows, -1)).permute(0, 3, 1, 4, 2, 5)
    return by_row.flatten(-2).flatten(-3, -2)


def _whole(where: Bool[Tensor, "rows columns"], height: int, width: int) -> list[int]:
    """The cells that lie wholly in a region."""
    cells = _cut(where[None, None], height, width)[0]
    return torch.flatten(cells, 1).all(1).nonzero().flatten().tolist()
