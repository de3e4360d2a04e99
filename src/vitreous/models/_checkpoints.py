"""A model as it was at an earlier step of its training."""

import json
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import safetensors

from vitreous._errors import UnknownNameError, WeightsError

# What a card says of the training as a whole, and not of its end.
_TRUE_OF_ALL = ("name", "recipe", "data", "seed", "threads")


def checkpoint_file(folder: Path, step: int, card: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Where the weights of a step lie, and the part of the model's card that is true of them.

    Raises:
        UnknownNameError: There are none of that step; the message lists the others.
        WeightsError: They are of another training.
    """
    kept = kept_steps(folder)
    path = folder / "checkpoints" / f"{step}.safetensors"
    if isinstance(step, bool) or not isinstance(step, Integral) or step not in kept:
        steps = {*kept, *([card["steps"]] if "steps" in card else [])}
        raise unknown_checkpoint(folder.name, step, sorted(steps))
    known = {key: card[key] for key in _TRUE_OF_ALL if key in card} | {"steps": step}
    _require_same(path, known)
    return path, known


def _require_same(path: Path, card: dict[str, Any]) -> None:
    """What a checkpoint says of its training must be what the card says of the model's."""
    for name, said in _facts(path).items():
        if name in card and said != card[name]:
            raise WeightsError(
                f"`{path}` must be a checkpoint with {name} {card[name]!r}; it says {said!r}. "
                "Put it back where it came from."
            )


def _facts(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {}).get("checkpoint", "{}"))
    except Exception:  # reading its tensors says what is the matter
        return {}


def kept_steps(folder: Path) -> list[int]:
    """The steps of a training whose weights were kept in its folder."""
    files = (folder / "checkpoints").glob("*.safetensors")
    return sorted(int(file.stem) for file in files if file.stem.isdigit() and file.is_file())


def unknown_checkpoint(model: str, step: int, steps: Sequence[int]) -> UnknownNameError:
    if not steps:
        return UnknownNameError(
            f"`checkpoint` must be a step kept from the training; `{model}` has none. Leave it out."
        )
    return UnknownNameError(
        f"`checkpoint` of `{model}` must be one of {', '.join(map(str, steps))}; got {step!r}. "
        "Pass one of them."
    )
