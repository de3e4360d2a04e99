"""Interventions on disk: JSON that a person can read, with tensors beside it by hash."""

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from vitreous._whole import written_whole
from vitreous.hooks._ablation import Ablate
from vitreous.hooks._attention_masks import AttentionMask, CausalMask, KnockOut
from vitreous.hooks._batched import Batched
from vitreous.hooks._cache import ActivationCache, save_whole
from vitreous.hooks._edits import Edit, ShiftPeak, Steer
from vitreous.hooks._freezing import Freeze
from vitreous.hooks._intervention import Intervention, source_values
from vitreous.hooks._means import Means
from vitreous.hooks._patches import ActivationPatch, SwapSubspace
from vitreous.hooks._site import Site

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule

_KINDS: dict[str, Callable[..., Intervention]] = {
    kind.__name__: kind
    for kind in (
        Ablate, ActivationPatch, AttentionMask, Batched, CausalMask, Edit, Freeze, KnockOut,
        ShiftPeak, Steer, SwapSubspace,
    )
}  # fmt: skip


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
        TypeError: An intervention of a kind of your own.
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
    kind = type(intervention).__name__
    if _KINDS.get(kind) is not type(intervention):
        raise TypeError(
            f"An intervention must be of this library to be saved; got {kind}. Build it of "
            f"{', '.join(_KINDS)}, or use `Edit` with a function that can be imported."
        )
    if isinstance(intervention, Batched):
        groups = [[_to_entry(e, model, tensors) for e in g] for g in intervention.groups]
        return {"kind": kind, "groups": groups}
    points = [name for name, _ in intervention.hooks(model)]
    fields = dict(vars(intervention))
    if "site" in fields and not isinstance(fields["site"], Site):
        fields["site"] = Site(fields["site"])
    if isinstance(intervention, Freeze):
        fields["source"] = {point: source_values(intervention.source, point) for point in points}
    return {"kind": kind, **{k: _encoded(v, points, tensors) for k, v in fields.items()}}


def _from_entry(entry: dict[str, Any], tensors: dict[str, Tensor]) -> Intervention:
    fields = dict(entry)
    kind = fields.pop("kind")
    if kind == "Batched":
        return Batched.of([[_from_entry(e, tensors) for e in g] for g in fields["groups"]])
    return _KINDS[kind](**{name: _decoded(value, tensors) for name, value in fields.items()})


def _encoded(value: Any, points: Sequence[str], tensors: dict[str, Tensor]) -> Any:
    """A field as JSON; tuples, which mean (row, column), stay apart from lists of tokens.

    Of a run, or of means, only what belongs to the points of the intervention is kept.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return {"tensor": _keep(value, tensors)}
    if isinstance(value, Means):
        [point] = points
        about = {"by": value.by, "axes": value.axes[point], "count": value.count}
        kept = _keep(value.values[point], tensors)
        return {"means": {point: kept}, "description": value.description, **about}
    if isinstance(value, ActivationCache):
        [point] = points
        return {"tensor": _keep(value[point], tensors)}
    if isinstance(value, Mapping):
        return {"mapping": {k: _encoded(v, points, tensors) for k, v in value.items()}}
    if isinstance(value, Site):
        return {"site": {k: _encoded(v, points, tensors) for k, v in vars(value).items()}}
    if isinstance(value, tuple | list):
        several = [_encoded(each, points, tensors) for each in value]
        return {"tuple": several} if isinstance(value, tuple) else several
    if hasattr(value, "__array__"):  # of numpy: an index, or a mask
        own = np.asarray(value)
        return own.item() if own.ndim == 0 else _encoded(torch.from_numpy(own), points, tensors)
    return {"function": _importable(value)}


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decoded(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if "means" in value:
        values = {point: tensors[digest] for point, digest in value["means"].items()}
        axes = {point: tuple(value["axes"]) for point in values}
        return Means(values, value["by"], axes, value["count"], value["description"])
    [(form, held)] = value.items()
    if form == "tensor":
        return tensors[held]
    if form == "tuple":
        return tuple(_decoded(each, tensors) for each in held)
    if form == "function":
        module, _, name = held.partition(":")
        return getattr(importlib.import_module(module), name)
    parts = {name: _decoded(each, tensors) for name, each in held.items()}
    return Site(**parts) if form == "site" else parts


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
