"""torchvision's `VisionTransformer`, from a name or from a module."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._errors import unknown
from vitreous._optional import needs
from vitreous.data import ClassNames, Preprocessing, recognized_names
from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import NormConfig, PoolingConfig
from vitreous.models._saving import load_tensors
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._network import answers, not_cached, not_downloaded
from vitreous.models.adapters._options import LoadOptions
from vitreous.models.adapters._parts import (
    all_alike,
    check_untouched,
    exactly,
    filled,
    multihead_fields,
    patch_fields,
    placement,
    unsupported,
)
from vitreous.models.adapters._torchvision_correspondence import correspondence as correspondence
from vitreous.models.adapters._weight_files import read_weights

# ---- from a name

OPTIONS = frozenset({"weights", "cache_dir", "local_files_only", "image_size"})


def load(name: str, options: LoadOptions) -> Loaded:
    """Loads `NAME` with torchvision's best weights, `NAME/WEIGHTS`, or a file of weights.

    How images were prepared for a file is on record where the name says which weights it is of.
    """
    architecture, _, wanted = name.partition("/")
    record = _record(architecture, wanted)
    models = _library("torchvision.models")
    with torch.device("meta"):  # refuses before anything is downloaded
        read_config(models.get_model(architecture, weights=None))
    given = options.given(read_weights)
    if given is None:
        tensors, where = _download(name, record, options), str(record)
    else:
        tensors, where = given
        record = record if wanted else None
    tensors = _with_current_names(tensors)
    fits = _fitting(tensors, options.image_size)
    module = models.get_model(architecture, weights=None, **fits)
    load_tensors(module.to(options.loading_dtype), tensors, f"`{where}`")
    model = convert(module.to(options.dtype), record)
    model.card["source"] = f"torchvision {_library('torchvision').__version__}, {where}"
    return Loaded(model, lambda: module)


def describe(name: str, options: LoadOptions) -> HookedViTConfig:
    """What a model that torchvision knows by name is made of."""
    architecture, _, wanted = name.partition("/")
    _record(architecture, wanted)
    with torch.device("meta"):
        return read_config(_library("torchvision.models").get_model(architecture, weights=None))


def _record(architecture: str, wanted: str) -> Any:
    """The weights on torchvision's list, with their transform and classes."""
    models = _library("torchvision.models")
    if architecture not in models.list_models(module=models):
        known = [name for name in models.list_models(module=models) if name.startswith("vit")]
        hint = "`torchvision.models.list_models()` lists all."
        raise unknown("torchvision model", architecture, known, hint)
    weights = models.get_model_weights(architecture)
    if not wanted:
        return weights.DEFAULT
    if wanted not in weights.__members__:
        known = [f"{architecture}/{name}" for name in weights.__members__]
        raise unknown("torchvision checkpoint", f"{architecture}/{wanted}", known)
    return weights[wanted]


def _with_current_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Files of before torchvision 0.14 call an MLP's layers `linear_1` and `linear_2`."""
    renamed = {}
    for name, tensor in tensors.items():
        name = name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")
        renamed[name] = tensor
    return renamed


def _fitting(tensors: dict[str, Tensor], image_size: tuple[int, int] | None) -> dict[str, Any]:
    """Classes and image size that weights are of; positions are resampled for another size."""
    fits = {}
    head, patches = tensors.get("heads.head.weight"), tensors.get("conv_proj.weight")
    if head is not None:
        fits["num_classes"] = len(head)
    if "encoder.pos_embedding" in tensors and patches is not None:
        size = patches.shape[-1]
        side = round((tensors["encoder.pos_embedding"].shape[1] - 1) ** 0.5) * size
        if image_size is not None and image_size != (side, side):
            side = _square(image_size)
            vision_transformer = _library("torchvision.models.vision_transformer")
            tensors |= vision_transformer.interpolate_embeddings(side, size, dict(tensors))
        fits["image_size"] = side
    return fits


def _square(size: tuple[int, int]) -> int:
    if size[0] != size[1]:
        raise ValueError(
            f"`image_size` must be a square for torchvision's models; got {size[0]} x {size[1]}. "
            "Pass one number."
        )
    return size[0]


def _download(name: str, record: Any, options: LoadOptions) -> dict[str, Tensor]:
    cache = options.cache_dir or _checkpoints(_library("torch.hub"))
    name = f"torchvision:{name}"
    instead = f'Pass a file: `load("{name}", weights="FILE")`'
    kept = (cache / record.url.rpartition("/")[2]).is_file()
    if not kept and (options.local_files_only or not answers(record.url)):
        is_set = "`local_files_only` is set"
        why = is_set if options.local_files_only else "its host can't be reached"
        raise not_cached(name, why, cache, instead)
    try:
        return record.get_state_dict(
            progress=False, check_hash=True, weights_only=True, model_dir=options.cache_dir
        )
    except Exception as error:  # of the network, the file system, or the file
        raise not_downloaded(name, error, instead) from error


def _checkpoints(hub: Any) -> Path:
    return Path(hub.get_dir()) / "checkpoints"


def _library(module: str) -> Any:
    return needs(module, extra="torchvision", feature='load("torchvision:...")')


# ---- from a module


def converts(module: nn.Module) -> bool:
    """Whether `convert` is responsible for a module of a class of torchvision's."""
    return isinstance(module, _library("torchvision.models").VisionTransformer)


def convert(module: Any, processor: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of the module's weights, equal to it in evaluation mode.

    Args:
        module: torchvision's `VisionTransformer`, with its own head, another linear one, or none.
        processor: The weights that the module was made with (`ViT_B_16_Weights.DEFAULT`), for
            preprocessing and class names, or their `transforms()`.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks.
    """
    cfg = read_config(module)
    model = filled(
        cfg,
        renamed(_weights(module, cfg), cfg),
        placement(module),
        f"`{type(module).__name__}`",
        labels=_labels(processor, cfg),
        preprocessing=None if processor is None else _preprocessing(processor, cfg),
        stem=copy.deepcopy(module.conv_proj).eval() if cfg.stem else None,
    )
    version = _library("torchvision").__version__
    model.card["source"] = f"torchvision {version}, a {type(module).__name__}"
    return model


def read_config(module: Any) -> HookedViTConfig:
    """What the module is made of, read off it; it may lie on the meta device."""
    parts = _library("torchvision.models.vision_transformer")
    exactly(module, "module", parts.VisionTransformer)
    check_untouched(module, "_process_input")
    exactly(module.encoder, "encoder", parts.Encoder)
    exactly(module.encoder.dropout, "encoder.dropout", nn.Dropout, nn.Identity)
    head = _head(module)
    return HookedViTConfig(
        d_model=module.hidden_dim,
        n_layers=len(module.encoder.layers),
        n_classes=None if head is None else head.out_features,
        head_bias=head is not None and head.bias is not None,
        pooling=PoolingConfig("cls", _norm(module.encoder.ln, "encoder.ln")),
        **_patches(module),
        **all_alike(module.encoder.layers, "encoder.layers", _block_fields),
    )


def _patches(module: Any) -> dict[str, Any]:
    size = (module.image_size, module.image_size)
    if isinstance(module.conv_proj, nn.Conv2d):
        return patch_fields(module.conv_proj, "conv_proj", size)
    return {"stem": True, "image_size": size, "patch_size": module.patch_size}


def _head(module: Any) -> nn.Linear | None:
    """The linear layer of `heads`, however a fine-tuned model holds it; None for features."""
    heads = module.heads
    layers = list(heads.children()) if type(heads) is nn.Sequential else [heads]
    layers = [layer for layer in layers if type(layer) is not nn.Identity]
    if not layers:
        return None
    if len(layers) > 1 or type(layers[0]) is not nn.Linear:
        names = ", ".join(type(layer).__name__ for layer in layers)
        raise unsupported(f"`heads` must be one linear layer or none; got {names}")
    return layers[0]


def _block_fields(block: Any, where: str) -> dict[str, Any]:
    parts = _library("torchvision.models.vision_transformer")
    exactly(block, where, parts.EncoderBlock)
    exactly(block.mlp, f"{where}.mlp", parts.MLPBlock)
    norm = _norm(block.ln_1, f"{where}.ln_1")
    if _norm(block.ln_2, f"{where}.ln_2") != norm:
        raise unsupported(f"Both norms of a block must be alike; got two kinds in `{where}`")
    if not block.self_attention.batch_first:
        raise unsupported(f"Attention must run along the tokens; got others in `{where}`")
    exactly(block.mlp[1], f"{where}.mlp.1", nn.GELU)
    return {
        "norm": norm,
        "d_mlp": exactly(block.mlp[0], f"{where}.mlp.0", nn.Linear).out_features,
        "act_name": "gelu_tanh" if block.mlp[1].approximate == "tanh" else "gelu",
        **multihead_fields(block.self_attention, f"{where}.self_attention"),
    }


def _norm(part: Any, where: str) -> NormConfig:
    exactly(part, where, nn.LayerNorm)
    return NormConfig("layer", part.eps, part.weight is not None)


_PLACES = {
    "class_token": "embedding.cls_token",
    "encoder.pos_embedding": "embedding.pos",
    "encoder.ln.weight": "ln_final.w",
    "encoder.ln.bias": "ln_final.b",
}
_BLOCK = re.compile(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)")
_BLOCK_PLACES = {
    "ln_1.weight": "ln1.w",
    "ln_1.bias": "ln1.b",
    "self_attention.in_proj_weight": "attn.qkv.weight",
    "self_attention.in_proj_bias": "attn.qkv.bias",
    "self_attention.out_proj.weight": "attn.out.weight",
    "self_attention.out_proj.bias": "attn.out.bias",
    "ln_2.weight": "ln2.w",
    "ln_2.bias": "ln2.b",
    "mlp.0.weight": "mlp.fc_in.weight",
    "mlp.0.bias": "mlp.fc_in.bias",
    "mlp.3.weight": "mlp.fc_out.weight",
    "mlp.3.bias": "mlp.fc_out.bias",
}


def _weights(module: Any, cfg: HookedViTConfig) -> dict[str, Tensor]:
    """The state dict, without a stem, which is kept as it is, and with layers as they follow."""
    unread = ("conv_proj.", "encoder.layers.") if cfg.stem else ("encoder.layers.",)
    tensors = {k: x for k, x in module.state_dict().items() if not k.startswith(unread)}
    for layer, block in enumerate(module.encoder.layers):
        at = f"encoder.layers.encoder_layer_{layer}."
        tensors |= {f"{at}{name}": tensor for name, tensor in block.state_dict().items()}
    return tensors


def knows(name: str) -> bool:
    """Whether a weight of torchvision's transformers may have this name."""
    return _place(name) != name


def renamed(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A state dict of torchvision's under our names; one that nobody knows keeps its own."""
    ours = {_place(name): tensor for name, tensor in _with_current_names(tensors).items()}
    if ours.get("embedding.pos") is not None:
        ours["embedding.pos"] = ours["embedding.pos"].flatten(0, -2)
    return ours


def _place(name: str) -> str:
    part, _, rest = name.partition(".")
    if part == "conv_proj":
        return f"embedding.patch.{rest}"
    if part == "heads":  # the linear layer, however a fine-tuned model holds it
        return f"head.linear.{rest.rpartition('.')[2]}"
    match = _BLOCK.match(name)
    if match is not None and match[2] in _BLOCK_PLACES:
        return f"blocks.{match[1]}.{_BLOCK_PLACES[match[2]]}"
    return _PLACES.get(name, name)


# ---- images and labels


def _preprocessing(processor: Any, cfg: HookedViTConfig) -> Preprocessing:
    """The same transform, at the model's image size."""
    known = processor.transforms() if _is_weights(processor) else processor
    preset = _library("torchvision.transforms._presets").ImageClassification
    if not isinstance(known, preset):
        raise TypeError(
            "`processor` of a torchvision model must be its weights or their `transforms()`; got "
            f"{type(processor).__name__}. Pass `ViT_B_16_Weights.DEFAULT` or the like."
        )
    crop, scaled = known.crop_size[0], known.resize_size[0]
    fraction = crop / scaled
    if math.floor(crop / fraction) != scaled:  # one ulp below the side that is meant
        fraction = crop / (scaled + 0.5)
    return Preprocessing(
        cfg.image_shape,
        tuple(known.mean),
        tuple(known.std),
        interpolation=known.interpolation.value,
        crop_fraction=fraction,
    )


def _labels(processor: Any, cfg: HookedViTConfig) -> ClassNames | None:
    """The names of the classes of the weights on record, where the head is of as many."""
    names = processor.meta.get("categories", ()) if _is_weights(processor) else ()
    return recognized_names(names) if len(names) == cfg.n_classes else None


def _is_weights(processor: Any) -> bool:
    return isinstance(processor, _library("torchvision.models").WeightsEnum)
