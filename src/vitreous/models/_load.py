"""From a name to a model."""

import os
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import torch
from torch import nn

from vitreous._errors import UnsupportedModelError, WeightsError, unknown
from vitreous._registry import shipped_folder, shipped_models
from vitreous.hooks import Means
from vitreous.models import adapters
from vitreous.models._checkpoints import checkpoint_file, unknown_checkpoint
from vitreous.models._clip import HookedCLIP
from vitreous.models._saving import load_tensors, read_json, read_tensors, weight_hash
from vitreous.models._text import HookedTextTransformer
from vitreous.models._vit import HookedViT

Model = HookedViT | HookedTextTransformer | HookedCLIP

# What a folder's `config.json` calls them.
KINDS: dict[str, type[Model]] = {
    kind.format: kind for kind in (HookedViT, HookedTextTransformer, HookedCLIP)
}


class _Options(TypedDict, total=False):
    """The keywords of `load` that don't change what comes out."""

    weights: str | os.PathLike[str] | None
    revision: str | None
    cache_dir: str | os.PathLike[str] | None
    local_files_only: bool
    image_size: int | tuple[int, int] | None
    checkpoint: int | None
    device: torch.device | str | None
    dtype: torch.dtype


_Name = str | os.PathLike[str]


@overload
def load(name: _Name, *, tower: Literal["image"], **options: Unpack[_Options]) -> HookedViT: ...


@overload
def load(
    name: _Name, *, tower: Literal["text"], **options: Unpack[_Options]
) -> HookedTextTransformer: ...


@overload
def load(name: _Name, *, tower: Literal["both"], **options: Unpack[_Options]) -> HookedCLIP: ...


@overload
def load(name: _Name, *, tower: None = None, **options: Unpack[_Options]) -> Any: ...


def load(
    name: _Name,
    *,
    tower: adapters.Tower | None = None,
    weights: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    image_size: int | tuple[int, int] | None = None,
    checkpoint: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Loads a model, in evaluation mode.

    Args:
        name: A shipped model (`"digits"`), a name behind its source (`"timm:NAME"`,
            `"hf:OWNER/NAME"`, `"open_clip:ARCH/TAG"`, `"torchvision:NAME"`, `"prisma:FOLDER"`),
            or a folder: one that `save_pretrained` made, or one that transformers, timm, open_clip
            or Prisma wrote.
        tower: What to load of a model of images and texts: its `"image"` or `"text"` tower, or
            `"both"`, a `HookedCLIP`. None means all that its weights have.
        weights: A safetensors file to read instead of downloading.
        revision: Branch, tag or commit of the repository to download from.
        cache_dir: Where downloads are kept; None means where the source library keeps them.
        local_files_only: Whether what isn't in that cache must not be downloaded.
        image_size: Pixel rows and columns, or one number for both, where they aren't to be the
            model's own; positions are resampled as the source library does it.
        checkpoint: A step of its training: the model as it was then, where the folder has
            `checkpoints/STEP.safetensors`. Its card keeps only what is true of it, and it has no
            dataset means.
        device: Where to put it; None means the CPU.
        dtype: Of its weights.

    Raises:
        UnknownNameError: No such model, or no such checkpoint of it.
        UnsupportedModelError: A model with a feature that ours lacks; it names the feature.
        WeightsError: Weights that are missing, can't be read or don't fit.
        ValueError: An option that this source of models doesn't understand.
    """
    if weights is not None and checkpoint is not None:
        raise ValueError(
            "`load` must take either `weights` or `checkpoint`; got both. Leave one of them out."
        )
    text = _text(name)
    _require_floating(dtype)
    options = adapters.LoadOptions(
        None if weights is None else Path(weights),
        revision,
        None if cache_dir is None else Path(cache_dir),
        local_files_only,
        (image_size, image_size) if isinstance(image_size, int) else image_size,
        dtype=dtype,
        tower=tower,
    )
    return _load(text, options, checkpoint, device).model


def load_with_original(
    name: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    tower: adapters.Tower | None = None,
) -> adapters.Loaded:
    """A model, as `load` gives it, and the source library's own, to compare it with."""
    options = adapters.LoadOptions(None if weights is None else Path(weights), tower=tower)
    return _load(_text(name), options, None, device)


def _load(
    text: str,
    options: adapters.LoadOptions,
    checkpoint: int | None,
    device: torch.device | str | None,
) -> adapters.Loaded:
    original = None
    prefix, colon, rest = text.partition(":")
    if colon and prefix in adapters.LOADERS:
        if checkpoint is not None:
            raise unknown_checkpoint(text, checkpoint, [])
        adapter = adapters.loader(prefix)
        options.check(text, adapter.OPTIONS)
        model, original = adapter.load(rest, options)
    elif text in shipped_models():
        model = _load_folder(text, shipped_folder() / text, options, checkpoint)
        model.card.setdefault("source", "shipped")
    elif os.path.isdir(text):
        foreign = adapters.writer_of(Path(text))
        if foreign is not None:
            return _load(foreign, options, checkpoint, device)
        model = _load_folder(text, Path(text), options, checkpoint)
    else:
        known = [*shipped_models(), *(f"{each}:NAME" for each in adapters.LOADERS)]
        hint = f"Known: {', '.join(known)}, or a folder that `save_pretrained` made."
        raise unknown("model", text, shipped_models(), hint)
    model = _tower_of(model, options.tower)
    model.card.setdefault("name", text)
    model.card["weight_hash"] = weight_hash(model)
    return adapters.Loaded(model.eval().to(device), original)


def _text(name: Any) -> str:
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(
            f"`name` must be a name or a path; got {type(name).__name__}. "
            "`vt.from_module` takes a model in memory."
        )
    return text


def _require_floating(dtype: Any) -> None:
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(
            f"`dtype` must be a floating-point type of torch; got {dtype!r}. Pass torch.float32."
        )


def _tower_of(model: Any, tower: adapters.Tower | None) -> Any:
    """What was asked for of a model; of a saved one, both towers lie in one folder."""
    if isinstance(model, HookedCLIP) and tower in ("image", "text"):
        part = getattr(model, tower)
        part.card = {name: model.card[name] for name in ("source",) if name in model.card}
        return part
    _require_tower(model, tower)
    return model


def _require_tower(model: Model, tower: adapters.Tower | None) -> None:
    if tower is not None and not isinstance(model, _TOWERS[tower]):
        raise ValueError(
            f"`tower` must be one that the model has; got {tower!r} for a {type(model).__name__}. "
            "Leave it out."
        )


_TOWERS = {"image": HookedViT, "text": HookedTextTransformer, "both": HookedCLIP}


@overload
def from_module(
    module: nn.Module, processor: Any = None, *, tower: Literal["image"]
) -> HookedViT: ...


@overload
def from_module(
    module: nn.Module, processor: Any = None, *, tower: Literal["text"]
) -> HookedTextTransformer: ...


@overload
def from_module(
    module: nn.Module, processor: Any = None, *, tower: Literal["both"]
) -> HookedCLIP: ...


@overload
def from_module(module: nn.Module, processor: Any = None, *, tower: None = None) -> Any: ...


def from_module(
    module: nn.Module, processor: Any = None, *, tower: adapters.Tower | None = None
) -> Any:
    """Converts a model of another library, with whatever weights it has, to one of glass.

    The result is in evaluation mode, on the module's device and in its dtype, and equal to it: a
    `HookedViT`, a `HookedTextTransformer`, or a `HookedCLIP` for a model with both towers.

    Args:
        module: A model of a library that has an adapter.
        processor: What that library prepares images and texts with, where the module itself has
            no record of it: an image processor, a tokenizer, or one that is both.
        tower: What to convert of a model with two towers; None means both.

    Raises:
        UnsupportedModelError: A module that can't be represented; `vt.wrap` takes any.
        ValueError: A tower that the module doesn't have.
    """
    adapter = adapters.converter(module)
    if adapter is None:
        raise UnsupportedModelError(
            f"`from_module` takes a transformer of {' or '.join(adapters.CONVERTERS)}; got "
            f"{type(module).__name__}. Use `vt.wrap(module)` for hooks on any module."
        )
    model = adapters.convert(adapter, module, processor, tower)
    _require_tower(model, tower)
    model.card.setdefault("name", type(module).__name__)
    model.card["weight_hash"] = weight_hash(model)
    return model.eval()


def _load_folder(
    name: str, folder: Path, options: adapters.LoadOptions, checkpoint: int | None
) -> Model:
    options.check(name, frozenset({"weights", "tower"}))
    about = read_json(folder / "config.json")
    if about.get("format") not in KINDS:
        raise WeightsError(
            f"`config.json` in `{folder}` must describe a Vitreous model; its format is "
            f"{about.get('format')!r}. Load it through the library that wrote it."
        )
    model = _described(about, folder).to(options.dtype)
    if checkpoint is not None and checkpoint != model.card.get("steps"):
        path, model.card = checkpoint_file(folder, checkpoint, model.card)
        load_tensors(model, read_tensors(path), f"`{path.name}`")
        return model
    path = options.weights or folder / "model.safetensors"
    load_tensors(model, read_tensors(path), f"`{path.name}`")
    if (folder / "means.safetensors").exists():
        model.means = _means(folder)
    return model


def _described(about: dict[str, Any], folder: Path) -> Model:
    """The model of a description, without its weights."""
    try:
        model = KINDS[about["format"]].described(about)
        model.card = dict(about.get("card") or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"`config.json` in `{folder}` must describe a model that can be built; got "
            f"{type(error).__name__} ({error}). Save the model again."
        ) from error
    return model


def _means(folder: Path) -> Means:
    try:
        return Means.load(folder / "means.safetensors")
    except Exception as error:
        raise WeightsError(
            f"`means.safetensors` in `{folder}` must hold means; it can't be read "
            f"({error}). Save the model again, or remove the file."
        ) from error
