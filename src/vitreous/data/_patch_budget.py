"""The size of a picture that is cut into as many patches as may be, in its own shape."""

import math

# Where the search for the factor begins and ends, and how close it comes.
_LEAST, _MOST, _CLOSE = 1e-6, 100.0, 1e-5


def size_within(rows: int, columns: int, patch_size: int, max_patches: int) -> tuple[int, int]:
    """Pixel rows and columns, both multiples of the patch size, with few enough patches.

    The picture is scaled by the largest factor that leaves it with no more than `max_patches` once
    its sides are rounded up. It is found by halving an interval, as the source does: where two
    steps lie closer than it looks, the result is the source's.

    References:
        Tschannen et al., "SigLIP 2", 2025, section 2.4.2 (NaFlex), as in transformers.
    """

    def patches(factor: float) -> tuple[int, int]:
        down, across = (max(1, math.ceil(side * factor / patch_size)) for side in (rows, columns))
        return down, across

    low, high = _LEAST, _MOST
    while high - low >= _CLOSE:
        middle = (low + high) / 2
        down, across = patches(middle)
        low, high = (middle, high) if down * across <= max_patches else (low, middle)
    down, across = patches(low)
    return down * patch_size, across * patch_size
