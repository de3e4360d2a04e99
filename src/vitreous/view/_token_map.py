"""Which token lies where on a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Shaped

from vitreous.view._packing import Array, as_numpy


@runtime_checkable
class Layout(Protocol):
    """What a token map reads from a model's layout, such as `vitreous.models.TokenLayout`."""

    def names(self) -> Sequence[str]:
        """A name for each token, in order."""
        ...

    def to_grid(self, x: torch.Tensor) -> torch.Tensor:
        """Lays one value per token out in rows and columns, without tokens that are no patch."""
        ...


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
    def of(
        cls, where: Layout | Shaped[Array, "rows columns"], names: Sequence[str] | None = None
    ) -> "TokenMap":
        """Takes a model's layout; or a grid of token indices, and a name for each token.

        Raises:
            TypeError: A grid without names, or a layout with names of its own and these.
            ValueError: A layout of clips, whose patches lie on more than one picture.
        """
        if isinstance(where, Layout) != (names is None):
            given = "no names" if names is None else "names"
            raise TypeError(
                "A token map must be made from a layout, or from a grid and names; got "
                f"{type(where).__name__} and {given}. `TokenMap.of(model.layout)` is enough."
            )
        if isinstance(where, Layout):
            names = where.names()
            where = where.to_grid(torch.arange(len(names)))
        grid = as_numpy(where)
        if grid.ndim != 2:
            raise ValueError(
                f"A token map must have rows and columns; got a grid of shape {grid.shape}. "
                "Pass the grid of one frame, and the names of all tokens."
            )
        return cls(tuple(tuple(int(token) for token in row) for row in grid), tuple(names or ()))

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
