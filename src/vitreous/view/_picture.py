"""What viewers draw on."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitreous.view._packing import Array, as_numpy


@dataclass(frozen=True)
class Picture:
    """An image as PNG bytes. Equal pictures travel once, however many viewers show them."""

    png: bytes
    rows: int
    columns: int

    @classmethod
    def of(cls, pixels: UInt8[Array, "rows columns 3"]) -> "Picture":
        """Encodes `[rows, columns, 3]` bytes of red, green and blue."""
        array = as_numpy(pixels)
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(array), "RGB").save(buffer, "PNG", optimize=True)
        return cls(buffer.getvalue(), array.shape[0], array.shape[1])

    def image(self) -> Image.Image:
        """The pixels that it was made of."""
        return Image.open(io.BytesIO(self.png)).convert("RGB")

    def height(self, width: float) -> float:
        """How high it is when it is shown at a width."""
        return width * self.rows / self.columns
