"""What of a long sweep is done, in memory and in a file that appears whole or not at all."""

import json
import os
import time
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from vitreous.hooks import save_whole

# Writing takes no more than this share of the time.
_SHARE = 0.05
_SAME = 1e-3  # of a baseline's size: other threads and batches round otherwise, not more


class Finished:
    """The values of a sweep, and which of them are there.

    Args:
        shape: Of all values; pairs come last.
        path: The file to resume from and to write; None keeps them in memory alone.
        question: What was asked, in words and hashes: a file of another question is refused.
        baseline: What the target says of the pairs; a file where it said otherwise is, too.

    Raises:
        ValueError: The file is of another sweep, or isn't of a sweep at all.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        path: str | os.PathLike[str] | None,
        question: dict[str, str],
        baseline: Tensor,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.question, self.baseline = question, baseline.detach().double().cpu()
        self.values = torch.full(shape, torch.nan, dtype=torch.float64)
        self.done = torch.zeros(shape, dtype=torch.bool)
        self._took, self._written = 0.0, -torch.inf
        if self.path is not None and self.path.exists():
            self._resume(self.path)

    def missing(self, place: int, rows: slice) -> list[int]:
        """The patches of a layer, counted through, that some of these pairs lack."""
        lacks = ~self.done[place].view(-1, self.done.shape[-1])[:, rows].all(1)
        return lacks.nonzero().flatten().tolist()

    def put(self, place: int, patch: int, rows: slice, values: Tensor) -> None:
        """Takes the values of one patch in."""
        self.values[place].view(-1, self.values.shape[-1])[patch, rows] = values.double().cpu()
        self.done[place].view(-1, self.done.shape[-1])[patch, rows] = True

    def write(self, *, now: bool = False) -> None:
        """Writes the file, where there is one, unless the last time is too short ago."""
        start = time.monotonic()
        if self.path is None or not (now or start - self._written > self._took / _SHARE):
            return
        tensors = {"values": self.values, "done": self.done, "baseline": self.baseline}
        save_whole(self.path, tensors, {"sweep": json.dumps(self.question)})
        self._written = time.monotonic()
        self._took = self._written - start

    def _resume(self, path: Path) -> None:
        about, tensors = _read(path)
        for key, asked in self.question.items():
            if about.get(key) != asked:
                raise ValueError(
                    f"`path` must be new or hold this very sweep; got `{path}` with another {key}: "
                    f"{about.get(key)} instead of {asked}. Choose another path."
                )
        same = torch.isclose(tensors["baseline"], self.baseline, rtol=_SAME, atol=_SAME)
        if not same.all():
            raise ValueError(
                f"`path` must be new or hold this very sweep; in `{path}` the target says "
                f"otherwise of {int((~same).sum())} images, so that hooks or the target have "
                "changed. Choose another path."
            )
        self.values, self.done = tensors["values"], tensors["done"]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["sweep"])
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        raise ValueError(
            f"`path` must be new or a file that a sweep has written; got `{path}`, which isn't. "
            "Choose another path."
        ) from error
