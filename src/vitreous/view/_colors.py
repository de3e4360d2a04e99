"""The sequential scale of `colors.js` for pictures that Python draws: on paper, so the light one.

A test holds both tables to one another, color by color.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

_STOPS = ("f4f6f4", "c3e0d8", "7fc0bf", "3f97ae", "24699a", "233c77", "1c1846")
_SIZE = 256

# OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
)


def sequential(parts: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "... 3"]:
    """The scale's colors at parts of its length, 0 to 1; beyond, those of its ends."""
    return _table()[np.floor(np.clip(parts, 0, 1) * (_SIZE - 1) + 0.5).astype(int)]


@cache
def _table() -> UInt8[np.ndarray, "_ 3"]:
    stops = np.array([[*bytes.fromhex(stop)] for stop in _STOPS])
    linear = np.where(
        stops <= 0.04045 * 255, stops / 255 / 12.92, ((stops / 255 + 0.055) / 1.055) ** 2.4
    )
    labs = np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T
    at = np.linspace(0, len(labs) - 1, _SIZE)
    mixed = np.stack([np.interp(at, np.arange(len(labs)), axis) for axis in labs.T], axis=1)
    light = (mixed @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    curved = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    )
    return np.clip(np.rint(255 * curved), 0, 255).astype(np.uint8)
