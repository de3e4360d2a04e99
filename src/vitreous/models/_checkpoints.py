"""A model as it was at an earlier step of its training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitreous._errors import UnknownNameError

# What a card says of the training as a whole, and not of its end.
_TRUE_OF_ALL = ("name", "recipe", "data", "seed", "threads")


def checkpoint_file(folder: Path, step: int, card: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Where the weights of a step lie, and the part of the model's card that is true of them.

    Raises:
        UnknownNameError: There are none of that step; the message lists the others.
    """
    path = folder / "checkpoints" / f"{step}.safetensors"
    if not path.is_file():
        steps = {*kept_steps(folder), *([card["steps"]] if "steps" in card else [])}
        raise unknown_checkpoint(folder.name, step, sorted(steps))
    return path, {key: card[key] for key in _TRUE_OF_ALL if key in card} | {"steps": step}


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
        f"`checkpoint` of `{model}` must be one of {', '.join(map(str, steps))}; got {step}. "
        "Pass one of them."
    )
