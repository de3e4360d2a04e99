"""Where the tokens of texts are: which one ends each, and which are padding."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vitreous.models._positions import Layout


@dataclass(frozen=True, eq=False)
class TextLayout(Layout):
    """The order of the tokens of some texts.

    Attributes:
        n: Tokens of each.
        cls: Class tokens (0 or 1), last in the sequence.
        read: The token that the head reads, of each text; None where it reads all, or where
            only the texts tell.
        reads_all: Whether it reads all.
        hidden: Tokens that nobody attends to, of each text; None where there are none.
    """

    groups: ClassVar = ("all", "readout", "cls")

    n: int
    cls: int = 0
    read: Int[Tensor, " batch"] | None = None
    hidden: Bool[Tensor, "batch keys"] | None = None
    reads_all: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextLayout) and self.to_json() == other.to_json()

    @property
    def n_tokens(self) -> int:
        return self.n

    def names(self) -> list[str]:
        """One short name per token: `t0`, `t1`, ..., and `cls`."""
        return [f"t{i}" for i in range(self.n - self.cls)] + ["cls"] * self.cls

    def repeated(self, copies: int) -> Self:
        read = None if self.read is None else self.read.repeat(copies)
        hidden = None if self.hidden is None else self.hidden.repeat(copies, 1)
        return replace(self, read=read, hidden=hidden)

    def to_json(self) -> dict[str, Any]:
        values = {"read": self.read, "hidden": self.hidden}
        plain = {name: None if x is None else x.tolist() for name, x in values.items()}
        return {"n": self.n, "cls": self.cls, "reads_all": self.reads_all, **plain}

    @classmethod
    def from_json(cls, plain: dict[str, Any], device: torch.device) -> "TextLayout":
        """Reads what `to_json` gave."""
        tensors = {
            name: None if plain[name] is None else torch.tensor(plain[name], device=device)
            for name in ("read", "hidden")
        }
        return cls(plain["n"], plain["cls"], **tensors, reads_all=plain["reads_all"])

    def _named(self, group: str) -> list[int]:
        every = list(range(self.n))
        if group == "cls":
            return every[self.n - self.cls :]
        return every if group == "all" or self.reads_all else self._read_of_all()

    def _read_of_all(self) -> list[int]:
        read = [] if self.read is None else sorted(set(self.read.tolist()))
        if len(read) != 1:
            where = (
                f"tokens {', '.join(map(str, read))}" if read else "places that only the texts tell"
            )
            raise ValueError(
                f"`positions='readout'` must mean one token of all texts; got texts that are read "
                f"at {where}. Run texts of one length, or one by one."
            )
        return read

    def _at(self, place: tuple[Any, ...]) -> int:
        raise ValueError(
            f"Tokens of a text have no rows and columns; got {place}. "
            "Pass a list for several token indices."
        )

    def _masked(self, mask: Tensor) -> list[int]:
        if tuple(mask.shape) != (self.n,):
            raise ValueError(
                f"A mask of `positions` must cover {self.n} tokens; got shape {list(mask.shape)}. "
                "Pass one value per token."
            )
        return mask.nonzero().flatten().tolist()

    def _census(self) -> str:
        return f"{self.n - self.cls} tokens of text" + " and a class token" * self.cls
