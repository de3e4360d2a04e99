"""A model as a folder: `config.json`, `model.safetensors`, `means.safetensors`."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import safetensors.torch
import torch
from torch import Tensor

from vitreous._errors import WeightsError, nearest
from vitreous._whole import unwritable, written_whole
from vitreous.hooks import Means, save_whole

FORMATS = ("vitreous-vit", "vitreous-text", "vitreous-clip")


@runtime_checkable
class Described(Protocol):
    """A model that a folder can hold."""

    format: ClassVar[str]
    card: dict[str, Any]
    means: Means | None

    def describe(self) -> dict[str, Any]: ...

    def state_dict(self) -> dict[str, Tensor]: ...


# How many names of weights a message lists.
_N_LISTED = 3


def save_pretrained(
    model: Described, folder: str | os.PathLike[str], dtype: torch.dtype | None = None
) -> None:
    """Writes a model so that `load(folder)` gives it back.

    Args:
        model: With its labels, preprocessing, card and means.
        folder: Made where it doesn't exist.
        dtype: What floating-point weights are stored as; None keeps theirs.

    Raises:
        OSError: The folder can't be written.
        ValueError: A weight is too large for `dtype`, or that is no floating-point type.
    """
    folder = Path(folder)
    about, tensors = _description(model), as_stored(model.state_dict(), dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    save_whole(folder / "model.safetensors", tensors)
    if model.means is None:
        (folder / "means.safetensors").unlink(missing_ok=True)  # of a model that lay here before
    else:
        model.means.save(folder / "means.safetensors")
    with written_whole(folder / "config.json") as beside:
        beside.write_text(about + "\n", encoding="utf-8")


def as_stored(tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Copies on the CPU, ready for a file, with floating-point numbers of another type if asked.

    Raises:
        ValueError: A number is too large for that type, or it is no floating-point type.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(
            f"`dtype` must be a floating-point type; got {dtype!r}. Pass torch.float16, or None."
        )
    return {name: _stored(name, value.detach().cpu(), dtype) for name, value in tensors.items()}


def _stored(name: str, value: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is None or not value.is_floating_point():
        return value.contiguous().clone()
    largest = value.where(value.isfinite(), 0).abs().amax().item() if value.numel() else 0
    if largest > torch.finfo(dtype).max:
        raise ValueError(
            f"`{name}` must fit into {str(dtype).removeprefix('torch.')}, up to "
            f"{torch.finfo(dtype).max:g}; got {largest:g}. Store it in a larger type."
        )
    return value.to(dtype, copy=True).contiguous()


def saved_description(folder: Path) -> dict[str, Any] | None:
    """What is said of the model that `save_pretrained` wrote; None where it wrote none."""
    try:
        about = read_json(folder / "config.json")
    except WeightsError:
        return None
    return about if about.get("format") in FORMATS else None


def _description(model: Described) -> str:
    about = {"format": model.format, **model.describe(), "card": model.card}
    try:
        return json.dumps(about, indent=2, ensure_ascii=False)
    except TypeError as error:
        raise TypeError(
            f"`model.card` must hold plain values to be saved; got something else ({error}). "
            "Convert it to numbers, strings, lists or dictionaries."
        ) from error


def weight_hash(model: torch.nn.Module) -> str:
    """The first 12 digits of a hash over all weights, as they are in memory."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        digest.update(f"{name}{value.dtype}{list(value.shape)}".encode() + raw)
    return digest.hexdigest()[:12]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; one clear line where it can't be read."""
    if not path.is_file():
        raise WeightsError(f"Weights must be a file; nothing is at `{path}`. Check the path.")
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"Weights must be a .safetensors file; got `{path.name}`. "
            "Convert them with `safetensors.torch.save_file`."
        )
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:
        raise WeightsError(
            f"`{path.name}` must be a whole safetensors file; it can't be read "
            f"({str(error).splitlines()[0]}). Download or save it again."
        ) from error


def load_tensors(module: torch.nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Loads a state dict into a module, or says which tensor doesn't fit."""
    expected = module.state_dict()
    missing = sorted(set(expected) - set(tensors))
    extra = sorted(set(tensors) - set(expected))
    check_names(source, missing, extra)
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"`{name}` in {source} must have shape {list(expected[name].shape)}; got "
                f"{list(tensor.shape)}. Use the weights of this architecture and head."
            )
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise WeightsError(
                f"`{name}` in {source} must hold floating-point numbers; got {tensor.dtype}. "
                "Use weights that aren't quantized."
            )
    module.load_state_dict(tensors)


def check_names(source: str, missing: list[str], extra: list[str]) -> None:
    """Raises `WeightsError` unless each weight has a name that the model knows, and it has all.

    Args:
        source: What a message calls the weights.
        missing: Names that the model has and the weights lack.
        extra: Names that the weights have and the model lacks.
    """
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing, first {_listed(missing, extra)}")
    if extra:
        parts.append(f"{len(extra)} unknown, first {_listed(extra, [])}")
    if parts:
        raise WeightsError(
            f"The tensors of {source} must be those of the model; {' and '.join(parts)}. "
            "Use the weights of this architecture."
        )


def _listed(names: list[str], others: list[str]) -> str:
    """The first few names, each with what it may be called among others."""
    shown = []
    for name in names[:_N_LISTED]:
        near = nearest(name, others, 1)
        shown.append(f"`{name}`" + (f" (nearest there: {near[0]})" if near else ""))
    return ", ".join(shown) + (" ..." if len(names) > _N_LISTED else "")


def read_json(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError(f"it holds a {type(about).__name__}")
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"`{path.name}` in `{path.parent}` must be a model's description; it can't be read "
            f"({error}). Save the model again."
        ) from error
    return about
