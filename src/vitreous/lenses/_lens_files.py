"""Fitted lenses as safetensors, with the hash of the model that they belong to."""

import json
import os
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor, nn

from vitreous._errors import WeightsError
from vitreous.hooks import save_whole
from vitreous.models import weight_hash


def save_lens(
    path: str | os.PathLike[str], kind: str, tensors: dict[str, Tensor], about: dict[str, Any]
) -> None:
    """Writes a lens, whole or not at all."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_whole(Path(path), plain, {"lens": json.dumps({"kind": kind, **about})})


def load_lens(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_lens` wrote.

    Raises:
        WeightsError: It isn't there or isn't whole, or it is something else.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            about = json.loads((file.metadata() or {}).get("lens", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.pop("kind", None) != kind:
            raise ValueError("it holds something else")
    except Exception as error:
        raise WeightsError(
            f"`{os.fspath(path)}` must hold a {kind} lens; it can't be read "
            f"({str(error).splitlines()[0]}). Save the lens again, or name another file."
        ) from error
    return tensors, about


def require_fitted_for(model: nn.Module, weights: str | None, name: str | None) -> None:
    """Raises where a lens belongs to another model.

    Args:
        model: Who is to be read.
        weights: Hash of the model that the lens was fitted for; None where nobody knows.
        name: What that model was called.

    Raises:
        WeightsError: The hashes differ.
    """
    here = weight_hash(model)
    if weights not in (None, here):
        called = f" ({name})" if name else ""
        raise WeightsError(
            f"A lens must be read with the model that it was fitted for, of weights {weights}"
            f"{called}; got one of {here}. Fit a lens for this model."
        )


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by what follows."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
