"""The folder in which a training lives until it is a model."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitreous._errors import WeightsError
from vitreous.hooks import save_whole
from vitreous.models import HookedViT, as_stored
from vitreous.training._state import State, first_difference

UNFINISHED = "unfinished.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """Where a training is kept, so that it goes on after it was killed, at any moment.

    `unfinished.safetensors` is the last state of a training. When the model stands beside it,
    whole, it is removed; `log.csv` and `checkpoints/STEP.safetensors` stay.

    Attributes:
        path: New or empty, or with an unfinished training to go on with.
        every: Steps between states: the most that a killed training does twice.
        checkpoints: Steps whose weights are kept for good, in float16.
    """

    path: Path
    every: int = 100
    checkpoints: Collection[int] = ()

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a training to go on with."""
        return (self.path / UNFINISHED).exists()

    def last_state(self, identity: Mapping[str, Any]) -> State | None:
        """The state of the unfinished training here, or None where there is none.

        Raises:
            OSError: Something else is here.
            WeightsError: The state isn't whole, or of another training.
        """
        if not self.is_unfinished:
            self._must_be_free()
            return None
        state = State.load(self.path / UNFINISHED)
        different = first_difference(json.loads(json.dumps(identity)), state.identity)
        if different:
            raise WeightsError(
                f"`{self.path}` must hold an unfinished training with {different}. "
                "Choose another path, or repeat the command that began it."
            )
        return state

    def begin(self, state: State) -> None:
        """Makes the folder with a first state in it, or leaves nothing behind."""
        is_new = not self.path.exists()
        self.path.mkdir(exist_ok=True)
        self.remove_remains()
        try:
            self.keep(state)
        except BaseException:
            if is_new:
                with suppress(OSError):
                    self.path.rmdir()
            raise

    def keep(self, state: State) -> None:
        """Replaces the last state."""
        state.save(self.path / UNFINISHED)

    def keep_weights(self, model: nn.Module, step: int) -> None:
        """Writes a checkpoint that `vt.load(folder, checkpoint=step)` reads."""
        (self.path / "checkpoints").mkdir(exist_ok=True)
        tensors = as_stored(model.state_dict(), torch.float16)
        save_whole(self.path / "checkpoints" / f"{step}.safetensors", tensors)

    def finish(self, model: HookedViT) -> None:
        """Writes the model, and then removes the state."""
        model.save_pretrained(self.path, dtype=torch.float16)
        (self.path / UNFINISHED).unlink()

    def remove_remains(self) -> None:
        """Removes files that a kill left half-written."""
        for remains in self.path.rglob(".*.part"):
            remains.unlink()

    def _must_be_free(self) -> None:
        there = self.path.iterdir() if self.path.is_dir() else [self.path]
        if any(path.exists() and not path.match(f".{UNFINISHED}.*.part") for path in there):
            raise OSError(
                f"`{self.path}` must be new or empty, or hold an unfinished training; got "
                "something else in it. Choose another path."
            )
