"""Small pictures of tiles, each with a color and a motif that a linear map reads exactly.

Motifs are patterns of Walsh: they are orthogonal to one another and to every plain color, and all
levels are binary fractions. What a patch embedding reads of them is 0 or 1, without rounding.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.terrarium._chance import Chance

GRID, SIDE = 4, 4
COLORS = ("red", "green", "blue", "dark")
MOTIFS = ("bars", "posts", "checks", "cross")
PLACES = tuple((row, column) for row in range(GRID) for column in range(GRID))
Place = tuple[int, int]

# A level is `_LOW`, or higher by `_STEP` in the channel that a color is named after; a motif adds
# or takes off `_SWING`.
_LOW, _STEP, _SWING = 0.25, 0.5, 0.25
_WAVES = {"flat": (1, 1, 1, 1), "fine": (1, -1, 1, -1), "wide": (1, -1, -1, 1)}
_DOWN_AND_ACROSS = (("fine", "flat"), ("flat", "fine"), ("fine", "fine"), ("wide", "wide"))
_PATTERNS = np.stack([np.outer(_WAVES[down], _WAVES[across]) for down, across in _DOWN_AND_ACROSS])
_TINTS = np.vstack([np.eye(3) * _STEP, np.zeros((1, 3))]) + _LOW


class Tiles(NamedTuple):
    """What stands in each place: numbers of `COLORS` and `MOTIFS`.

    Attributes:
        colors: `[rows, columns]`.
        motifs: The same.
    """

    colors: np.ndarray
    motifs: np.ndarray

    def colored(self, colors: Mapping[Place, int]) -> "Tiles":
        """The same with other colors in some places."""
        return Tiles(_changed(self.colors, colors), self.motifs)

    def patterned(self, motifs: Mapping[Place, int]) -> "Tiles":
        """The same with other motifs in some places."""
        return Tiles(self.colors, _changed(self.motifs, motifs))


def any_tiles(chance: Chance) -> Tiles:
    """Every tile drawn on its own."""
    colors, motifs = (chance.noise(name, GRID, GRID) % 4 for name in ("colors", "motifs"))
    return Tiles(colors.astype(int), motifs.astype(int))


def any_but(chance: Chance, name: str, *excluded: int) -> int:
    """One of the four colors, or motifs, that isn't excluded."""
    return chance.choice(name, [number for number in range(4) if number not in excluded])


def pictures(tiles: Sequence[Tiles]) -> Float[Tensor, "batch channels rows columns"]:
    """Levels in 0 .. 1, of 16 x 16 pixels."""
    colors, motifs = (np.stack(each) for each in zip(*tiles, strict=True))
    levels = _TINTS[colors].transpose(0, 3, 1, 2)[..., None, :, None]  # batch channel row 1 column
    levels = levels + _SWING * _PATTERNS[motifs].transpose(0, 1, 3, 2, 4)[:, None]
    return torch.from_numpy(levels.reshape(len(tiles), 3, GRID * SIDE, GRID * SIDE))


def readers() -> dict[str, tuple[np.ndarray, float]]:
    """Weights `[channels, rows, columns]` on a tile and a constant, by what they read.

    Each reads 1 where a tile has that color or motif, and 0 where it has another.
    """
    of_level = np.ones((SIDE, SIDE)) / (SIDE * SIDE * _STEP)
    read = {
        color: (np.eye(3)[channel][:, None, None] * of_level, -_LOW / _STEP)
        for channel, color in enumerate(COLORS[:3])
    }
    read["dark"] = (-sum(w for w, _ in read.values()), 1 - sum(b for _, b in read.values()))
    # Quarters and a half rather than thirds, which are no binary fractions.
    shares = np.array([0.25, 0.25, 0.5])[:, None, None]
    for motif, pattern in zip(MOTIFS, _PATTERNS, strict=True):
        read[motif] = (shares * pattern / (SIDE * SIDE * _SWING), 0.0)
    return read


def _changed(numbers: np.ndarray, changes: Mapping[Place, int]) -> np.ndarray:
    numbers = numbers.copy()
    for place, number in changes.items():
        numbers[place] = number
    return numbers
