"""Weights from a file of any form that source libraries write, and never a pickle's code."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitreous._errors import WeightsError
from vitreous.models._saving import read_tensors

# What torch says of a name that a pickle may not call.
_CODE = re.compile(r"GLOBAL (\S+)")
_WRAPPERS = ("model_state_dict", "state_dict", "model")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a PyTorch file that holds nothing but tensors.

    A checkpoint of a training run may hold them under `model_state_dict`, `state_dict` or
    `model`, and with `module.` in front of each name.

    Raises:
        WeightsError: The file is missing, damaged or of another kind, or it would run code.
    """
    is_plain = path.suffix == ".safetensors" or not path.is_file()
    return state_dict_of(read_tensors(path) if is_plain else _unpickled(path), f"`{path.name}`")


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError) as error:
        named = _CODE.search(str(error))  # the rest of torch's message tells how to run it
        reason = f"it calls `{named[1]}`" if named else type(error).__name__
        raise WeightsError(
            f"`{path.name}` must be a whole file of tensors and plain values, since a pickle may "
            f"run code; it can't be read as one ({reason}). Save its state dict with "
            "`safetensors.torch.save_file`."
        ) from error


def state_dict_of(content: Any, where: str) -> dict[str, Tensor]:
    """The names and tensors of a state dict, or of a checkpoint that holds one.

    Raises:
        WeightsError: There is something else, too, or nothing.
    """
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    found = content if isinstance(content, Mapping) else {}
    tensors = {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) < len(found):
        other = next((name for name in found if name not in tensors), type(content).__name__)
        raise WeightsError(
            f"{where} must hold a state dict, names and their tensors; got {other!r}. "
            "Save `model.state_dict()`."
        )
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors
