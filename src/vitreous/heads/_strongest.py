"""The highest of many values that come batch by batch."""

import torch
from jaxtyping import Float
from torch import Tensor


class Strongest:
    """Keeps the highest values, and what belongs to each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.values: Tensor | None = None
        self.notes: dict[str, Tensor] = {}

    def add(self, values: Float[Tensor, " components"], **notes: Tensor) -> None:
        """Takes in values, with notes whose first dimension is theirs."""
        if self.values is not None:
            values = torch.cat([self.values, values])
            notes = {name: torch.cat([self.notes[name], note]) for name, note in notes.items()}
        self.values, kept = values.topk(min(self.count, len(values)))
        self.notes = {name: note[kept] for name, note in notes.items()}
