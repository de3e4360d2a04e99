"""Chance without a state: every draw is a function of a key and the draw's name.

Draws don't depend on one another or on their order, so one cause can be changed with all others
held, and item 7 of a data set costs no more than item 0. The arithmetic is on integers of 64
bits, so a draw is the same everywhere and for good.

References:
    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014 (the mixing
    function). Departs from it: keys are hashed from names; there is no sequence.
"""

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def _mixed(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


class Chance:
    """A source of named draws.

    Args:
        key: Texts and integers that tell this source from all others.
    """

    __slots__ = ("_key",)

    def __init__(self, *key: str | int) -> None:
        self._key = 0
        for part in key:
            number = zlib.crc32(part.encode()) if isinstance(part, str) else part
            self._key = _mixed((self._key + (number + 1) * _STEP) & _MASK)

    def bits(self, name: str) -> int:
        """64 random bits."""
        return _mixed((self._key + (zlib.crc32(name.encode()) + 1) * _STEP) & _MASK)

    def below(self, name: str, limit: int) -> int:
        """One of 0 .. `limit` - 1."""
        return self.bits(name) * limit >> 64

    def between(self, name: str, low: int, high: int) -> int:
        """One of `low` .. `high`, both included."""
        return low + (self.bits(name) * (high - low + 1) >> 64)

    def choice(self, name: str, options: Sequence[Option]) -> Option:
        """One of the options."""
        return options[self.below(name, len(options))]

    def shuffled(self, name: str, options: Sequence[Option]) -> list[Option]:
        """All the options in random order."""
        order = list(options)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(f"{name} {last}", last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def part(self, name: str) -> "Chance":
        """A source of its own for a part of the whole."""
        made = Chance()
        made._key = self.bits(name)
        return made

    def noise(self, name: str, rows: int, columns: int) -> np.ndarray:
        """A field of random bytes."""
        value = np.arange(1, rows * columns + 1, dtype=np.uint64) * np.uint64(_STEP)
        value += np.uint64(self.bits(name))
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (value >> np.uint64(56)).astype(np.uint8).reshape(rows, columns)
