"""What `load` was asked for, handed to the adapter of a source library."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """A state dict, and what messages call it."""

    tensors: dict[str, Tensor]
    where: str


# Of a model of two towers.
Tower = Literal["image", "text", "both"]


_OPTIONS = ("weights", "revision", "cache_dir", "local_files_only", "image_size", "tower")


@dataclass(frozen=True)
class LoadOptions:
    """The keywords of `load` that a source may understand.

    An adapter names those that it does in its `OPTIONS`; the others are refused before it is
    called, so it never ignores one. `dtype` is always understood.

    Attributes:
        weights: A file of weights to read instead of downloading.
        revision: Branch, tag or commit in the repository on the hub.
        cache_dir: Where downloads are kept.
        local_files_only: Whether what isn't there already must not be downloaded.
        image_size: Pixel rows and columns, where they aren't the model's own.
        dtype: Of the weights.
        tower: What is wanted of a model of two towers; None for all that there is.
        tensors: A state dict in memory, instead of a file.
    """

    weights: Path | None = None
    revision: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False
    image_size: tuple[int, int] | None = None
    dtype: torch.dtype = field(default=torch.float32, kw_only=True)
    tower: Tower | None = field(default=None, kw_only=True)
    tensors: dict[str, Tensor] | None = field(default=None, kw_only=True)

    @property
    def has_weights(self) -> bool:
        """Whether there are weights already, so that none are to be downloaded."""
        return self.tensors is not None or self.weights is not None

    def given(self, read: Callable[[Path], dict[str, Tensor]]) -> Weights | None:
        """The weights that came with the call; a file of them is read by `read`."""
        if self.tensors is not None:
            return Weights(self.tensors, "the state dict")
        return None if self.weights is None else Weights(read(self.weights), self.weights.name)

    @property
    def loading_dtype(self) -> torch.dtype:
        """What to load weights as, where they are changed before they are rounded."""
        return torch.promote_types(self.dtype, torch.float32)

    def check(self, name: str, understood: frozenset[str]) -> None:
        """Refuses what a source of models doesn't understand.

        Raises:
            ValueError: An option is set that isn't `understood`, or two that don't fit together.
        """
        for option in _OPTIONS:
            got = getattr(self, option)
            # An image model without a text tower is its image tower.
            is_asked = got not in (None, False) and (option, got) != ("tower", "image")
            if is_asked and option not in understood:
                known = ", ".join(f"`{each}`" for each in sorted(understood)) or "none"
                raise ValueError(
                    f"`{option}` must be left out for {name!r}; got {option}={str(got)!r}. "
                    f"Options of this source: {known}."
                )
        if self.tower == "text" and self.image_size is not None:
            raise ValueError(
                f"`image_size` must be left out for a text tower; got {self.image_size}. "
                "Leave it out."
            )
