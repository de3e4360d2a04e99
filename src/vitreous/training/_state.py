"""A training between two steps, as one file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from vitreous._errors import WeightsError
from vitreous.hooks import save_whole

FORMAT = "vitreous-training-1"


@dataclass(frozen=True)
class State:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        step: Steps done.
        seconds: That they took.
        run: Names this training, to services that collect many.
        identity: What must be the same for the training to be the same; plain JSON.
        tensors: Weights, optimizer, chance and order of pictures.
    """

    step: int
    seconds: float
    run: str
    identity: dict[str, Any]
    tensors: dict[str, Tensor]

    def save(self, path: Path) -> None:
        """Writes it as safetensors, whole or not at all."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)[:-1]}
        about = {"format": FORMAT, "digest": _digest(self.tensors, facts), **facts}
        save_whole(path, self.tensors, {"training": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> "State":
        """Reads what `save` wrote.

        Raises:
            WeightsError: It isn't whole, or something else.
        """
        try:
            about, tensors = _read(path)
            digest = about.pop("digest")
            if about.pop("format") != FORMAT or digest != _digest(tensors, about):
                raise ValueError("its contents have changed")
            return cls(**about, tensors=tensors)
        except Exception as error:
            raise WeightsError(
                f"`{path}` must be a whole checkpoint of a training; it can't be read "
                f"({str(error).splitlines()[0]}). Choose another path, or remove that folder to "
                "start again."
            ) from error


def first_difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Where two identities part, in words, or None."""
    left, right = dict(_leaves(wanted)), dict(_leaves(found))
    for name in [*left, *right]:
        if left.get(name) != right.get(name):
            return f"{name} {left.get(name)!r}; got {right.get(name)!r}"
    return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads((file.metadata() or {}).get("training", "{}"))
        return about, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}{value.dtype}{list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value
