"""timm's transformers of images, from a name or from a module."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError, unknown
from vitreous.models._processing import fold_layer_scale
from vitreous.models._saving import load_tensors, read_tensors
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions
from vitreous.models.adapters._timm_config import families, read_model
from vitreous.models.adapters._timm_correspondence import correspondence as correspondence
from vitreous.models.adapters._timm_download import download
from vitreous.models.adapters._timm_images import labels_of, preprocessing_of
from vitreous.models.adapters._timm_source import Tensors, timm_module

OPTIONS = frozenset({"weights", "revision", "cache_dir", "local_files_only", "image_size"})

# ---- from a name


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads a model that timm knows by name, from its hub or from a safetensors file."""
    timm = timm_module("timm")
    _check_name(timm, name)
    resized = {} if options.image_size is None else {"img_size": options.image_size}
    skeleton = _skeleton(timm, name, **resized)
    read_model(skeleton)  # refuses before anything is downloaded
    if options.weights is None:
        module, source = download(timm, name, skeleton.pretrained_cfg, options)
    else:
        module, source = _with_file(timm, name, options.weights, resized), options.weights.name
    model = convert(module.to(options.dtype))
    model.card["source"] = f"timm {timm.__version__}, {source}"
    return Loaded(model, lambda: module)


def _check_name(timm: ModuleType, name: str) -> None:
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


def _with_file(timm: ModuleType, name: str, path: Path, resized: dict[str, Any]) -> nn.Module:
    tensors = read_tensors(path)
    head = tensors.get("head.weight")
    classes = {} if head is None or head.ndim != 2 else {"num_classes": len(head)}
    module = _in_memory(timm, name, **classes, **resized)
    if not resized or _fits(module, tensors):
        load_tensors(module, tensors, f"`{path.name}`")
        return module
    module = _in_memory(timm, name, **classes)
    load_tensors(module, tensors, f"`{path.name}`")
    module.set_input_size(img_size=resized["img_size"])
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
    cfg = reading.config
    device, dtype = _placement(module)
    with torch.device("meta"):
        empty = HookedViT(
            cfg,
            labels=labels_of(module),
            preprocessing=preprocessing_of(module, cfg),
            stem=None if reading.stem is None else nn.Identity(),
        )
    model = empty.to(dtype).to_empty(device=device)
    load_tensors(model, _filled(reading.tensors, model), f"`{type(module).__name__}`")
    if reading.stem is not None:
        model.embedding.patch = reading.stem
    foldable = cfg.layer_scale and dtype in (torch.float32, torch.float64)
    model = fold_layer_scale(model) if foldable else model
    model.card["source"] = f"timm {timm_module('timm').__version__}, a {type(module).__name__}"
    return model


def _placement(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    places = {(p.device, p.dtype) for p in module.parameters()}
    if len(places) > 1 or any(device.type == "meta" for device, _ in places):
        found = ", ".join(sorted(f"{dtype} on {device}" for device, dtype in places))
        raise UnsupportedModelError(
            f"All weights of a model must have one dtype and lie on one device; got {found}. "
            "Move them with `module.to(...)`."
        )
    return places.pop()


def _filled(tensors: Tensors, model: HookedViT) -> dict[str, Tensor]:
    """With neutral weights where a part of ours has one that the source lacks."""
    missing = {name: t for name, t in model.state_dict().items() if name not in tensors}
    biases = {n: torch.zeros_like(t) for n, t in missing.items() if n.endswith((".bias", ".b"))}
    gains = {n: torch.ones_like(t) for n, t in missing.items() if n.endswith(".gain")}
    return tensors | biases | gains
