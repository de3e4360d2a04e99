"""The folder in which a training lives until it is a model."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitreous._claim import Claim, is_remains
from vitreous._errors import WeightsError
from vitreous.hooks import save_whole
from vitreous.models import HookedViT, as_stored, saved_description
from vitreous.training._state import State, first_difference

UNFINISHED = "unfinished.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """Where a training is kept, so that it goes on after it was killed, at any moment.

    `unfinished.safetensors` is the last state of a training. When the model stands beside it,
    whole, it is removed; `log.csv` and `checkpoints/STEP.safetensors` stay. One process at a time
    writes here: `claim` is a context that keeps others out.

    Attributes:
        path: New or empty, or with an unfinished training to go on with.
        every: Steps between states: the most that a killed training does twice.
        checkpoints: Steps whose weights are kept for good, in float16.
    """

    path: Path
    every: int = 100
    checkpoints: Collection[int] = ()

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(
                f"`every` must be a whole number of steps, 1 or more; got {self.every!r}. Try 100."
            )

    @cached_property
    def claim(self) -> Claim:
        """Makes the folder where there is none; see `Claim`."""
        return Claim(self.path)

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a training to go on with."""
        return os.path.lexists(self.path / UNFINISHED)  # a broken link is none, and no fresh start

    @property
    def finished(self) -> dict[str, Any] | None:
        """What is said of the model of the finished training here; None where there is none."""
        about = None if self.is_unfinished else saved_description(self.path)
        is_trained = about is not None and "recipe" in (about.get("card") or {})
        return about if is_trained else None

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

    def keep(self, state: State) -> None:
        """Replaces the last state."""
        state.save(self.path / UNFINISHED)

    def keep_weights(
        self, model: nn.Module, step: int, about: Mapping[str, Any] | None = None
    ) -> None:
        """Writes a checkpoint that `vt.load(folder, checkpoint=step)` reads.

        Args:
            model: As it is now.
            step: Steps done.
            about: What its card has to say too, or it isn't a checkpoint of the same training.
        """
        (self.path / "checkpoints").mkdir(exist_ok=True)
        tensors = as_stored(model.state_dict(), torch.float16)
        facts = json.dumps({**(about or {}), "steps": step})
        path = self.path / "checkpoints" / f"{step}.safetensors"
        save_whole(path, tensors, {"checkpoint": facts})

    def finish(self, model: HookedViT) -> None:
        """Writes the model, and then removes the state."""
        model.save_pretrained(self.path, dtype=torch.float16)
        self.end()

    def end(self) -> None:
        """Removes the state, when what was trained lies beside it."""
        # So that a kill leaves no lock beside a finished model. Who comes in between finds the
        # last state of all, and makes the same files of it.
        self.claim.end()
        (self.path / UNFINISHED).unlink(missing_ok=True)

    def _must_be_free(self) -> None:
        there = [path.name for path in self.path.iterdir() if not is_remains(path)]
        if there:
            raise OSError(
                f"`{self.path}` must be new or empty, or hold an unfinished training; got "
                f"`{min(there)}` in it. Choose another path."
            )
