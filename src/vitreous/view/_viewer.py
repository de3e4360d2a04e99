"""What every viewer is made of: a tag, a payload, and the pictures and tokens they share."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from vitreous.view._packing import Array, as_numpy


@runtime_checkable
class Viewer(Protocol):
    """A picture on a page: the custom element that draws it, and what that element is given."""

    tag: ClassVar[str]
    """Name of the custom element; the ES module that defines it is `<tag without vt->.js`."""

    def payload(self) -> Mapping[str, Any]:
        """JSON values in which arrays stand as `Packed` and images as `Picture`."""
        ...


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


@dataclass(frozen=True)
class TokenMap:
    """Which token lies where on the picture.

    Attributes:
        grid: Token index of each patch, `[rows][columns]`.
        names: A name for each token, in order: `cls`, `reg0`, `r0c0`, and so on.
    """

    grid: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, grid: Shaped[Array, "rows columns"], names: tuple[str, ...]) -> "TokenMap":
        """Takes the grid of token indices as an array."""
        return cls(tuple(tuple(int(token) for token in row) for row in as_numpy(grid)), names)

    @property
    def special(self) -> tuple[int, ...]:
        """Tokens that are no patch: class, distillation and register tokens."""
        patches = {token for row in self.grid for token in row}
        return tuple(token for token in range(len(self.names)) if token not in patches)

    def payload(self) -> dict[str, Any]:
        """The map as JSON."""
        return {"grid": self.grid, "names": self.names, "special": self.special}

    def must_fit(self, n_tokens: int) -> None:
        """Raises unless there is one name per token and every patch is one of them."""
        highest = max(token for row in self.grid for token in row)
        if len(self.names) != n_tokens or highest >= n_tokens:
            raise ValueError(
                f"A token map must name each of the {n_tokens} tokens; got {len(self.names)} names "
                f"and patches up to token {highest}. Make it from the layout of the same run."
            )
