"""timm's `VisionTransformer` and `VisionTransformerDistilled`, from a name or from a module."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError, unknown
from vitreous.models._processing import fold_layer_scale
from vitreous.models._saving import load_tensors, read_tensors
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._options import LoadOptions
from vitreous.models.adapters._timm_config import (
    read_config,
    timm_module,
    unsupported,
    vit_module,
)
from vitreous.models.adapters._timm_download import download
from vitreous.models.adapters._timm_images import labels_of, preprocessing_of

# ---- from a name


OPTIONS = frozenset({"weights"})


def load(name: str, options: LoadOptions) -> HookedViT:
    """Loads a model that timm knows by name, from its hub or from a safetensors file."""
    timm = timm_module("timm")
    _check_name(timm, name)
    skeleton = _skeleton(timm, name)
    read_config(skeleton)  # refuses before anything is downloaded
    if options.weights is None:
        module, source = download(timm, name, skeleton.pretrained_cfg)
    else:
        module, source = _with_file(timm, name, options.weights), options.weights.name
    model = convert(module.to(options.dtype))
    model.card["source"] = f"timm {timm.__version__}, {source}"
    return model


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


def _with_file(timm: ModuleType, name: str, path: Path) -> nn.Module:
    tensors = read_tensors(path)
    head = tensors.get("head.weight")
    classes = {} if head is None or head.ndim != 2 else {"num_classes": len(head)}
    module = _skeleton(timm, name, **classes).to_empty(device="cpu")
    load_tensors(module, tensors, f"`{path.name}`")
    return module


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible for a module of a class of timm's."""
    return isinstance(module, vit_module().VisionTransformer)


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
    cfg = read_config(module)
    device, dtype = _placement(module)
    with torch.device("meta"):
        empty = HookedViT(
            cfg, labels=labels_of(module), preprocessing=preprocessing_of(module, cfg)
        )
    model = empty.to(dtype).to_empty(device=device)
    load_tensors(model, _renamed(module, model), f"`{type(module).__name__}`")
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


# ---- weights

_PLACES = {
    "cls_token": "embedding.cls_token",
    "dist_token": "embedding.distillation_token",
    "reg_token": "embedding.registers",
    "pos_embed": "embedding.pos",
    "patch_embed.proj": "embedding.patch",
    "norm_pre": "ln_pre",
    "norm": "ln_final",
    "fc_norm": "ln_final",
    "head": "head.linear",
    "head_dist": "head.distillation",
}
_BLOCK_PLACES = {
    "norm1": "ln1",
    "attn.qkv": "attn.qkv",
    "attn.q_norm": "attn.q_norm",
    "attn.k_norm": "attn.k_norm",
    "attn.proj": "attn.out",
    "ls1.gamma": "attn.gain",
    "norm2": "ln2",
    "mlp.fc1": "mlp.fc_in",
    "mlp.fc2": "mlp.fc_out",
    "ls2.gamma": "mlp.gain",
}


def _renamed(module: nn.Module, model: HookedViT) -> dict[str, Tensor]:
    """The module's weights under our names; neutral ones where ours has a part that it lacks."""
    tensors = {}
    for name, tensor in module.state_dict().items():
        place = _place(name)
        if place is None:
            raise unsupported(f"Each weight must be one that `HookedViT` has; got `{name}`")
        tensors[place] = tensor[0] if name == "pos_embed" else tensor
    for name, tensor in model.state_dict().items():
        if name not in tensors and name.endswith((".bias", ".b")):
            tensors[name] = torch.zeros_like(tensor)
        elif name not in tensors and name.endswith(".gain"):
            tensors[name] = torch.ones_like(tensor)
    return tensors


def _place(name: str) -> str | None:
    """Our name of a weight: `blocks.3.norm1.bias` is `blocks.3.ln1.b`."""
    block, places = "", _PLACES
    if name.startswith("blocks."):
        _, layer, name = name.split(".", 2)
        block, places = f"blocks.{layer}.", _BLOCK_PLACES
    if name in places:
        return block + places[name]
    part, _, leaf = name.rpartition(".")
    if part not in places:
        return None
    is_norm = "norm" in part
    return f"{block}{places[part]}.{ {'weight': 'w', 'bias': 'b'}[leaf] if is_norm else leaf }"
