"""Interventions on disk: JSON that a person can read, with tensors beside it by hash."""

import hashlib
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor

from vitreous._whole import written_whole
from vitreous.hooks._cache import ActivationCache, save_whole
from vitreous.hooks._interventions import (
    Ablate,
    ActivationPatch,
    Batched,
    Edit,
    Intervention,
    Steer,
)
from vitreous.hooks._means import Means
from vitreous.hooks._site import Site

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule


def save_interventions(
    interventions: Sequence[Intervention],
    path: str | os.PathLike[str],
    model: "HookedModule",
) -> None:
    """Writes interventions as JSON, and their tensors beside it as safetensors, named by hash.

    Args:
        interventions: What to save.
        path: The JSON file; tensors go to the same name with `.safetensors` appended.
        model: A model that has the sites; it says which tensor of a cache or of means is meant.

    Raises:
        ValueError: An `Edit` whose function can't be imported by name.
    """
    tensors: dict[str, Tensor] = {}
    entries = [_to_entry(each, model, tensors) for each in interventions]
    path = Path(path)
    save_whole(path.with_name(path.name + ".safetensors"), tensors)
    with written_whole(path) as beside:
        beside.write_text(json.dumps({"version": 1, "interventions": entries}, indent=2) + "\n")


def load_interventions(path: str | os.PathLike[str]) -> list[Intervention]:
    """Reads what `save_interventions` wrote. Functions of `Edit` are imported by name."""
    path = Path(path)
    tensors = safetensors.torch.load_file(path.with_name(path.name + ".safetensors"))
    for digest, tensor in tensors.items():
        if _digest(tensor) != digest:
            raise ValueError(
                f"Tensor {digest[:12]} beside `{path.name}` must have that hash; it has "
                f"{_digest(tensor)[:12]}. Save the interventions again."
            )
    entries = json.loads(path.read_text())["interventions"]
    return [_from_entry(entry, tensors) for entry in entries]


def _to_entry(
    intervention: Intervention, model: "HookedModule", tensors: dict[str, Tensor]
) -> dict[str, Any]:
    if isinstance(intervention, Batched):
        groups = [[_to_entry(e, model, tensors) for e in g] for g in intervention.groups]
        return {"kind": "Batched", "groups": groups}
    fields: dict[str, Any] = {"kind": type(intervention).__name__}
    for name, value in vars(intervention).items():
        fields[name] = value
    where = fields["site"] if isinstance(fields["site"], Site) else Site(fields["site"])
    point = model.resolve_site(where).name
    fields["site"] = {k: _plain(v, tensors) for k, v in vars(where).items()}
    for name in ("reference", "source", "direction"):
        if name in fields:
            fields[name] = _to_reference(fields[name], point, tensors)
    if "function" in fields:
        fields["function"] = _importable(fields["function"])
    return fields


def _to_reference(value: Any, point: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Means):
        about = {"by": value.by, "axes": value.axes[point], "count": value.count}
        kept = _keep(value.values[point], tensors)
        return {"means": {point: kept}, "description": value.description, **about}
    if isinstance(value, ActivationCache):
        value = value[point]
    return value if value is None else {"tensor": _keep(value, tensors)}


def _from_entry(entry: dict[str, Any], tensors: dict[str, Tensor]) -> Intervention:
    fields = dict(entry)
    kind = fields.pop("kind")
    if kind == "Batched":
        return Batched.of([[_from_entry(e, tensors) for e in g] for g in fields["groups"]])
    fields["site"] = Site(**{k: _restored(v, tensors) for k, v in fields["site"].items()})
    for name in ("reference", "source", "direction"):
        if fields.get(name) is not None:
            fields[name] = _from_reference(fields[name], tensors)
    if "function" in fields:
        module, _, function = fields["function"].partition(":")
        fields["function"] = getattr(importlib.import_module(module), function)
    if fields.get("labels") is not None:
        fields["labels"] = tuple(fields["labels"])
    kinds = {"Ablate": Ablate, "ActivationPatch": ActivationPatch, "Steer": Steer, "Edit": Edit}
    return kinds[kind](**fields)


def _from_reference(saved: dict[str, Any], tensors: dict[str, Tensor]) -> Means | Tensor:
    if "tensor" in saved:
        return tensors[saved["tensor"]]
    values = {point: tensors[digest] for point, digest in saved["means"].items()}
    axes = {point: tuple(saved["axes"]) for point in values}
    return Means(values, saved["by"], axes, saved["count"], saved["description"])


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A position as JSON; tuples, which mean (row, column), stay apart from lists of tokens."""
    if isinstance(value, Tensor):
        return {"tensor": _keep(value, tensors)}
    return {"tuple": list(value)} if isinstance(value, tuple) else value


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        return tensors[value["tensor"]] if "tensor" in value else tuple(value["tuple"])
    return value


def _importable(function: Any) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found = getattr(importlib.import_module(module), name, None) if module else None
    if found is not function:
        raise ValueError(
            f"An `Edit` must hold a function that can be imported by name to be saved; got "
            f"{name or function!r}. Define it at the top of a module."
        )
    return f"{module}:{name}"


def _keep(tensor: Tensor, tensors: dict[str, Tensor]) -> str:
    kept = tensor.detach().cpu().contiguous().clone()
    digest = _digest(kept)
    tensors[digest] = kept
    return digest


def _digest(tensor: Tensor) -> str:
    about = f"{tensor.dtype}{list(tensor.shape)}".encode()
    raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(about + raw).hexdigest()
