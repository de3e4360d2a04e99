"""Arrays as bytes that travel inside a page: exact where small, in steps where large."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Array = np.ndarray | Tensor

_EXACT_BYTES = 1_000_000
_FINE_VALUES = 6_500_000  # in twelve bits and in base64, 13 megabytes


@dataclass(frozen=True)
class Packed:
    """An array on its way into a page.

    Attributes:
        kind: `float32` and `uint16` hold the values themselves. `uint12` and `uint8` hold, for each
            row (the last axis), the smallest value and a step as float32, and a code per value:
            0 for minus infinity, and `1 + n` for `n` steps above the smallest value.
        shape: The array's shape.
        data: Little-endian bytes. For `uint8`: smallest values, steps, codes. For `uint12`:
            smallest values, steps, the codes' high bytes, then their low four bits, two to a byte.
        largest_step: The coarsest step of any row, in the values' own unit; 0 where nothing is
            rounded. A value read back is off by half of its row's step at most.
    """

    kind: Literal["float32", "uint16", "uint12", "uint8"]
    shape: tuple[int, ...]
    data: bytes
    largest_step: float = 0.0


def as_numpy(values: Shaped[Array, "..."]) -> Shaped[np.ndarray, "..."]:
    """The values as a NumPy array on the CPU, without gradient."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def exact(values: Shaped[Array, "..."], *, masked: bool = False) -> Packed:
    """Packs every value as float32, or as uint16 where they are whole numbers (class indices).

    With `masked`, minus infinity is a value too: a score whose key the query must not see.
    """
    array = as_numpy(values)
    if np.issubdtype(array.dtype, np.integer):
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise ValueError(
                f"Whole numbers in a page must lie in 0..65535; got {array.min()}..{array.max()}. "
                "Pass floating-point values."
            )
        return Packed("uint16", array.shape, array.astype("<u2").tobytes())
    must_be_finite(array, masked)
    return Packed("float32", array.shape, array.astype("<f4").tobytes())


def stepped(
    values: Float[Array, "..."], *, bits: Literal[12, 8] = 12, masked: bool = False
) -> Packed:
    """Packs each row in equal steps from its smallest to its largest value.

    There are 4094 steps in twelve bits, and 254 in eight.
    """
    array = as_numpy(values)
    must_be_finite(array, masked)
    rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
    seen = rows > -np.inf
    low = rows.min(axis=1, where=seen, initial=np.inf).astype("<f4")
    high = rows.max(axis=1, where=seen, initial=-np.inf)
    low[~seen.any(axis=1)] = high[~seen.any(axis=1)] = 0
    step = ((high - low) / (2**bits - 2)).astype("<f4")
    rows[~seen] = 0
    rows -= low[:, None].astype(np.float64)
    rows /= np.where(step > 0, step, 1).astype(np.float64)[:, None]
    codes = 1 + np.clip(np.rint(rows, out=rows), 0, 2**bits - 2).astype(np.uint16)
    codes[~seen] = 0
    data = low.tobytes() + step.tobytes() + (_twelve(codes) if bits == 12 else _eight(codes))
    return Packed("uint12" if bits == 12 else "uint8", array.shape, data, float(step.max()))


def fitted(values: Float[Array, "..."], *, masked: bool = False) -> Packed:
    """Packs exactly up to a megabyte, and in steps beyond, so that a page stays small.

    Steps take twelve bits up to 6.5 million values and eight beyond.
    """
    size = math.prod(values.shape)
    if 4 * size <= _EXACT_BYTES:
        return exact(values, masked=masked)
    return stepped(values, bits=12 if size <= _FINE_VALUES else 8, masked=masked)


def unpack(packed: Packed) -> Shaped[np.ndarray, "..."]:
    """What a browser reads back from the packed bytes (`arrays.js` does the same)."""
    if packed.kind in ("float32", "uint16"):
        dtype = "<f4" if packed.kind == "float32" else "<u2"
        return np.frombuffer(packed.data, dtype).reshape(packed.shape)
    size, n_rows = math.prod(packed.shape), math.prod(packed.shape[:-1])
    low = np.frombuffer(packed.data, "<f4", n_rows)
    step = np.frombuffer(packed.data, "<f4", n_rows, offset=4 * n_rows)
    codes = np.frombuffer(packed.data, "u1", size, offset=8 * n_rows).astype(np.uint16)
    if packed.kind == "uint12":
        nibbles = np.frombuffer(packed.data, "u1", offset=8 * n_rows + size)
        codes = codes << 4 | np.stack([nibbles >> 4, nibbles & 15], axis=1).ravel()[:size]
    codes = codes.reshape(n_rows, -1)
    steps = np.where(codes == 0, -np.inf, codes - 1.0)
    values = low[:, None] + steps * np.where(step > 0, step, 1).astype(np.float64)[:, None]
    return values.reshape(packed.shape)


def _twelve(codes: Shaped[np.ndarray, "..."]) -> bytes:
    codes = codes.ravel()
    nibbles = np.pad(codes & 15, (0, codes.size % 2)).astype("u1")
    return (codes >> 4).astype("u1").tobytes() + (nibbles[::2] << 4 | nibbles[1::2]).tobytes()


def _eight(codes: Shaped[np.ndarray, "..."]) -> bytes:
    return codes.astype("u1").tobytes()


def must_be_finite(array: Shaped[np.ndarray, "..."], masked: bool = False) -> None:
    allowed = np.isfinite(array) | (masked & (array == -np.inf))
    wrong = np.count_nonzero(~allowed)
    if wrong:
        raise ValueError(
            f"Values in a page must be finite; got {wrong} of {array.size} that are not. "
            "Look for NaN or infinity in the weights or in the image."
        )
