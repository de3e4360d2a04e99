"""Arrays as bytes that travel inside a page: exact where small, in steps where large."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Array = np.ndarray | Tensor

_LEVELS = 4095  # twelve bits
_EXACT_BYTES = 1_000_000


@dataclass(frozen=True)
class Packed:
    """An array on its way into a page.

    Attributes:
        kind: `float32` and `uint16` hold the values themselves. `uint12` holds, for each row (the
            last axis), the smallest value and a step as float32, and a code in 0..4095 per value.
        shape: The array's shape.
        data: Little-endian bytes. For `uint12`: smallest values, steps, the codes' high bytes, then
            their low four bits, two to a byte.
        largest_step: The coarsest step of any row, in the values' own unit; 0 where nothing is
            rounded. A value read back is off by half of its row's step at most.
    """

    kind: Literal["float32", "uint16", "uint12"]
    shape: tuple[int, ...]
    data: bytes
    largest_step: float = 0.0


def as_numpy(values: Shaped[Array, "..."]) -> Shaped[np.ndarray, "..."]:
    """The values as a NumPy array on the CPU, without gradient."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def exact(values: Shaped[Array, "..."]) -> Packed:
    """Packs every value as float32, or as uint16 where they are whole numbers (class indices)."""
    array = as_numpy(values)
    if np.issubdtype(array.dtype, np.integer):
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise ValueError(
                f"Whole numbers in a page must lie in 0..65535; got {array.min()}..{array.max()}. "
                "Pass floating-point values."
            )
        return Packed("uint16", array.shape, array.astype("<u2").tobytes())
    must_be_finite(array)
    return Packed("float32", array.shape, array.astype("<f4").tobytes())


def stepped(values: Float[Array, "..."]) -> Packed:
    """Packs each row in 4095 equal steps from its smallest to its largest value: 1.5 bytes each."""
    array = as_numpy(values).astype(np.float64)
    must_be_finite(array)
    rows = array.reshape(-1, array.shape[-1])
    low = rows.min(axis=1).astype("<f4")
    step = ((rows.max(axis=1) - low) / _LEVELS).astype("<f4")
    divisor = np.where(step > 0, step, 1).astype(np.float64)
    codes = np.rint((rows - low[:, None].astype(np.float64)) / divisor[:, None])
    codes = np.clip(codes, 0, _LEVELS).astype(np.uint16).ravel()
    nibbles = np.pad(codes & 15, (0, codes.size % 2)).astype("u1")
    data = b"".join(
        part.tobytes()
        for part in (low, step, (codes >> 4).astype("u1"), nibbles[::2] << 4 | nibbles[1::2])
    )
    return Packed("uint12", array.shape, data, float(step.max()))


def fitted(values: Float[Array, "..."]) -> Packed:
    """Packs exactly up to a megabyte and in steps beyond, so that a page stays small."""
    return exact(values) if 4 * math.prod(values.shape) <= _EXACT_BYTES else stepped(values)


def unpack(packed: Packed) -> Shaped[np.ndarray, "..."]:
    """What a browser reads back from the packed bytes (`arrays.js` does the same)."""
    if packed.kind != "uint12":
        dtype = "<f4" if packed.kind == "float32" else "<u2"
        return np.frombuffer(packed.data, dtype).reshape(packed.shape)
    size, n_rows = math.prod(packed.shape), math.prod(packed.shape[:-1])
    low = np.frombuffer(packed.data, "<f4", n_rows)
    step = np.frombuffer(packed.data, "<f4", n_rows, offset=4 * n_rows)
    high = np.frombuffer(packed.data, "u1", size, offset=8 * n_rows).astype(np.uint16)
    nibbles = np.frombuffer(packed.data, "u1", offset=8 * n_rows + size)
    lower = np.stack([nibbles >> 4, nibbles & 15], axis=1).ravel()[:size]
    codes = (high << 4 | lower).reshape(n_rows, -1)
    return (low[:, None] + codes * step[:, None].astype(np.float64)).reshape(packed.shape)


def must_be_finite(array: Shaped[np.ndarray, "..."]) -> None:
    """Raises where a number is NaN or infinite."""
    wrong = np.count_nonzero(~np.isfinite(array))
    if wrong:
        raise ValueError(
            f"Values in a page must be finite; got {wrong} of {array.size} that are not. "
            "Look for NaN or infinity in the weights or in the image."
        )
