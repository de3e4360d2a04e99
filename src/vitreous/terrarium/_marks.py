"""Tiny pictures of marks on a grid: all that they show is one symbol per cell, under grain."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, UInt8

from vitreous.data import Preprocessing
from vitreous.terrarium._chance import Chance

CELLS, SIDE = 4, 6
"""Cells of a line, and pixels of a cell: what a patch of a model sees."""

COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (205, 50, 45),
    "green": (60, 160, 75),
    "blue": (50, 85, 190),
    "yellow": (225, 190, 50),
}
PAPER, NIGHT = (222, 218, 208), (92, 94, 104)

MARKS_PREPROCESSING = Preprocessing(
    image_size=(CELLS * SIDE, CELLS * SIDE),
    mean=(0.62, 0.6, 0.55),
    std=(0.22, 0.22, 0.24),
    crop_fraction=1.0,
)
"""How models see pictures of marks."""

# Levels by which a pixel may differ from what is painted: half of them in each direction.
_GRAIN = 24


def colored_cells(around: tuple[int, int, int]) -> UInt8[np.ndarray, "inner *pixels 3"]:
    """A cell for each color: a square mark of it, with something around."""
    cells = empty_cells(around).repeat(len(COLORS), 0)
    for cell, color in zip(cells, COLORS.values(), strict=True):
        cell[1:-1, 1:-1] = color
    return cells


def empty_cells(ground: tuple[int, int, int]) -> UInt8[np.ndarray, "1 *pixels 3"]:
    """A cell without a mark."""
    return np.full((1, SIDE, SIDE, 3), ground, np.uint8)


def paint(
    symbols: Int[np.ndarray, "rows columns"],
    cells: UInt8[np.ndarray, "inner *places 3"],
    chance: Chance,
) -> UInt8[np.ndarray, "*pixels 3"]:
    """A picture with the cell of each symbol in its place, under grain."""
    side = CELLS * SIDE
    flat = cells[symbols].transpose(0, 2, 1, 3, 4).reshape(side, side, 3)
    grain = chance.noise("grain", side, 3 * side).reshape(side, side, 3)
    levels = flat.astype(np.int64) + grain.astype(np.int64) * _GRAIN // 256 - _GRAIN // 2
    return levels.clip(0, 255).astype(np.uint8)
