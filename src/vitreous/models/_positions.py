"""What `positions` means: which tokens of a sequence, whatever it is made of."""

import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vitreous._errors import unknown


class Layout(ABC):
    """The order of a sequence of tokens, and the names by which some of them go.

    Attributes:
        groups: The words that `select` understands.
        read: The one token that the head reads of each sequence; None where all sequences are
            read alike.
        hidden: Tokens that no token attends to, such as padding; None where there are none.
    """

    groups: ClassVar[tuple[str, ...]]
    read: Int[Tensor, " batch"] | None = None
    hidden: Bool[Tensor, "batch keys"] | None = None

    @property
    @abstractmethod
    def n_tokens(self) -> int: ...

    @property
    def n_prefix(self) -> int:
        """Tokens in front of those that a mean counts."""
        return 0

    @abstractmethod
    def names(self) -> list[str]:
        """One short name per token."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values, from which the model that made it makes it again."""

    def select(self, positions: Any) -> list[int]:
        """The token indices that `positions` means; the only place that decides it.

        Args:
            positions: A group by name: `"all"`, `"readout"`, of images `"cls"`,
                `"distillation"`, `"registers"`, `"patches"`; a token index; a list of token
                indices; a tuple (row, column) or (frame, row, column); or a bool mask over tokens
                or over the patch grid.

        Returns:
            Indices into the token dimension.

        Raises:
            ValueError: An empty selection, or one outside of the sequence.
        """
        chosen = self._chosen(positions)
        if not chosen:
            got = repr(positions) if isinstance(positions, str | list) else "an empty selection"
            raise ValueError(
                f"`positions` must select a token; got {got}, which selects none of "
                f"{self.n_tokens}. This model has {self._census()}."
            )
        return chosen

    def resolve(self, positions: Any, n_tokens: int) -> list[int]:
        """`select`, for a tensor that has `n_tokens` tokens or one pooled one."""
        if n_tokens == self.n_tokens:
            return self.select(positions)
        if n_tokens == 1 and isinstance(positions, str) and positions in ("all", "readout"):
            return [0]
        raise ValueError(
            f"`positions` need {self.n_tokens} tokens; this point has {n_tokens}. "
            "Pass positions='all'."
        )

    def repeated(self, copies: int) -> Self:
        """The layout of the same sequences, one batch of them after the other."""
        del copies
        return self

    def require_grid(self) -> None:  # noqa: B027
        """Raises `ValueError` where tokens have places in a picture that aren't known."""

    def _chosen(self, positions: Any) -> list[int]:
        if isinstance(positions, str):
            if positions not in self.groups:
                hint = f"Groups are {', '.join(self.groups)}."
                raise unknown("group of tokens", positions, self.groups, hint)
            return self._named(positions)
        if isinstance(positions, tuple):
            return [self._at(positions)]
        if hasattr(positions, "__array__"):
            own = positions if isinstance(positions, Tensor) else np.asarray(positions)
            positions = torch.as_tensor(own)
            if positions.dtype == torch.bool:
                return self._masked(positions)
            positions = positions.tolist()
        return self._in_range(list(positions) if isinstance(positions, Sequence) else [positions])

    @abstractmethod
    def _named(self, group: str) -> list[int]:
        """The tokens of one of `groups`."""

    @abstractmethod
    def _at(self, place: tuple[Any, ...]) -> int:
        """The token at a place."""

    @abstractmethod
    def _masked(self, mask: Tensor) -> list[int]:
        """The tokens of a bool mask."""

    @abstractmethod
    def _census(self) -> str:
        """How many tokens of what kind there are, for error messages."""

    def _in_range(self, indices: list[Any]) -> list[int]:
        each = [self._whole(i) for i in indices]
        for i in each:
            if not -self.n_tokens <= i < self.n_tokens:
                raise ValueError(
                    f"A token index must lie in 0..{self.n_tokens - 1}; got {i}. "
                    f"This model has {self._census()}."
                )
        return [i % self.n_tokens for i in each]

    def _whole(self, got: object) -> int:
        """A whole number of any kind (numpy has several) as an int."""
        if isinstance(got, numbers.Integral) and not isinstance(got, bool):
            return int(got)
        raise TypeError(
            f"`positions` must be a name ({', '.join(self.groups)}), an index, a list of indices, "
            f"a (row, column) tuple or a bool mask; got {got!r}. Pass one of them."
        )
