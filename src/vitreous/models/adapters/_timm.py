"""timm's transformers of images, from a name or from a module."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from vitreous._errors import WeightsError, unknown
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import load_tensors
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Weights
from vitreous.models.adapters._parts import filled, placement
from vitreous.models.adapters._timm_config import families, read_model
from vitreous.models.adapters._timm_correspondence import correspondence as correspondence
from vitreous.models.adapters._timm_download import download
from vitreous.models.adapters._timm_images import labels_of, preprocessing_of
from vitreous.models.adapters._timm_source import Tensors, timm_module
from vitreous.models.adapters._weight_files import read_weights

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size"})

_FOLDER = "local-dir:"

# ---- from a name


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads a model that timm knows by name, from its hub or from a safetensors file.

    `local-dir:PATH` is a folder in the form that timm pushes to the hub.
    """
    timm = timm_module("timm")
    _check_name(timm, name)
    if name.startswith(_FOLDER) and not options.has_weights:
        options = replace(options, weights=_weights_in(Path(name.removeprefix(_FOLDER))))
    resized = {} if options.image_size is None else {"img_size": options.image_size}
    skeleton = _skeleton(timm, name, **resized)
    read_model(skeleton)  # refuses before anything is downloaded
    given = options.given(read_weights)
    if given is None:
        module, source = download(timm, name, skeleton.pretrained_cfg, options)
    else:
        module, source = _with_weights(timm, name, given, options), given.where
    model = convert(module.to(options.dtype))
    model.card["source"] = f"timm {timm.__version__}, {source}"
    return Loaded(model, lambda: module)


def describe(name: str, options: LoadOptions) -> HookedViTConfig:
    """What a model that timm knows by name is made of."""
    timm = timm_module("timm")
    _check_name(timm, name)
    return read_model(_skeleton(timm, name)).config


def _weights_in(folder: Path) -> Path:
    """The file of weights in a folder of timm's."""
    names = ("model.safetensors", "pytorch_model.bin")
    found = [folder / each for each in names if (folder / each).is_file()]
    if not found:
        raise WeightsError(
            f"`{folder}` must have {' or '.join(names)}; got neither. Pass `weights=`."
        )
    return found[0]


def _check_name(timm: ModuleType, name: str) -> None:
    if name.startswith(_FOLDER):
        return
    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown("timm model", name, timm.list_models(), "`timm.list_models()` lists all.")
    checkpoints = timm.list_models(f"{architecture}.*", include_tags=True) if dot else [name]
    if name not in checkpoints:
        raise unknown("timm checkpoint", name, checkpoints, "The part behind the dot is optional.")


def _skeleton(timm: ModuleType, name: str, **changes: Any) -> Any:
    """The model without memory for its weights, where this version of timm can do that."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, pretrained=False, **changes)
    except RuntimeError:  # it asked a tensor for a number
        return timm.create_model(name, pretrained=False, **changes)


def _with_weights(timm: ModuleType, name: str, given: Weights, options: LoadOptions) -> nn.Module:
    tensors, size = given.tensors, options.image_size
    head = tensors.get("head.weight")
    classes = {} if head is None or head.ndim != 2 else {"num_classes": len(head)}
    resized = {} if size is None else {"img_size": size}
    module = _in_memory(timm, name, **classes, **resized)
    fits = size is None or _fits(module, tensors)
    module = module if fits else _in_memory(timm, name, **classes)
    load_tensors(module.to(options.loading_dtype), tensors, f"`{given.where}`")
    if not fits:
        module.set_input_size(img_size=size)
    return module


def _in_memory(timm: ModuleType, name: str, **changes: Any) -> Any:
    """A model whose weights are yet to be filled in, and whose other buffers are right."""
    module = _skeleton(timm, name, **changes)
    computed = {key for key, _ in module.named_buffers()} - set(module.state_dict())
    if computed:
        return timm.create_model(name, pretrained=False, **changes)
    return module.to_empty(device="cpu")


def _fits(module: nn.Module, tensors: Tensors) -> bool:
    expected = module.state_dict()
    return all(
        name not in expected or t.shape == expected[name].shape for name, t in tensors.items()
    )


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible for a module of a class of timm's."""
    return isinstance(module, families())


@torch.no_grad()
def convert(module: Any, processor: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of the module's weights, equal to it in evaluation mode.

    LayerScale is folded into the output weights in float32 and better, and a gain of its own
    below that.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks; the message says where.
    """
    if processor is not None:
        raise TypeError(
            "`processor` must be left out for a timm model, which has a record of its own; got "
            f"{type(processor).__name__}. Set `model.preprocessing` afterwards."
        )
    reading = read_model(module)
    model = filled(
        reading.config,
        reading.tensors,
        placement(module),
        f"`{type(module).__name__}`",
        labels=labels_of(module),
        preprocessing=preprocessing_of(module, reading.config),
        stem=reading.stem,
    )
    model.card["source"] = f"timm {timm_module('timm').__version__}, a {type(module).__name__}"
    return model
