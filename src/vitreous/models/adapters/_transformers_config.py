"""What a vision model of transformers is made of, by its class, its config and its weights' shapes.

A class is known by identity, and its parts must be of the library's own classes: a subclass, or a
part put in place of another, may compute something else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from vitreous._errors import UnsupportedModelError
from vitreous._optional import needs
from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import (
    AttentionConfig,
    MapConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    ResampleConfig,
    RotaryConfig,
)
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._transformers_videos import (
    POOLED_EPS,
    clip_fields,
    is_video,
    patch_size,
    videomae_pooling,
)
from vitreous.models.adapters._transformers_weights import count_layers

# What each class gives: "cls", the normalized class token; "teacher", both tokens' heads averaged;
# "cls_mean", class token and mean patch side by side; "mean", the mean normalized token;
# "raw_mean", the mean patch before the last norm; "map", attention pooling where there is a head
# for it, else all tokens; "beit" and "videomae", what the config says.
READOUTS = {
    "ViTModel": "cls",
    "ViTForImageClassification": "cls",
    "DeiTModel": "cls",
    "DeiTForImageClassification": "cls",
    "DeiTForImageClassificationWithTeacher": "teacher",
    "ViTMAEModel": "cls",
    "Dinov2Model": "cls",
    "Dinov2ForImageClassification": "cls_mean",
    "Dinov2WithRegistersModel": "cls",
    "Dinov2WithRegistersForImageClassification": "cls_mean",
    "DINOv3ViTModel": "cls",
    "BeitModel": "beit",
    "BeitForImageClassification": "beit",
    "CLIPVisionModel": "cls",
    "CLIPVisionModelWithProjection": "cls",
    "CLIPModel": "cls",
    "CLIPForImageClassification": "raw_mean",
    "SiglipVisionModel": "map",
    "SiglipModel": "map",
    "SiglipForImageClassification": "mean",
    "Siglip2VisionModel": "map",
    "Siglip2Model": "map",
    "Siglip2ForImageClassification": "mean",
    "VivitModel": "cls",
    "VivitForVideoClassification": "cls",
    "VideoMAEModel": "videomae",
    "VideoMAEForVideoClassification": "videomae",
    "TimesformerModel": "cls",
    "TimesformerForVideoClassification": "cls",
}

_ACTIVATIONS: dict[str, Any] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",  # but for ten digits of its constant
    "gelu_new": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_OURS = ("transformers.models.", "transformers.activations", "torch.nn.modules.")


def transformers_module(module: str = "transformers") -> ModuleType:
    return needs(module, extra="hf", feature='load("hf:...")')


def vision_config(module: Any) -> Any:
    """The configuration of the image tower, or of the whole where there is nothing else."""
    return getattr(module.config, "vision_config", module.config)


def check_class(module: nn.Module, known: Iterable[str], what: str) -> None:
    """Refuses a module whose class isn't one of transformers' of a known name."""
    name = type(module).__name__
    if name not in known or type(module) is not getattr(transformers_module(), name, None):
        raise unsupported(
            f"{what} of transformers must be one of {', '.join(known)}, and no subclass; got a "
            f"`{name}` of `{type(module).__module__}`"
        )


def check_module(module: nn.Module) -> None:
    """Refuses what is not of a known class, or was changed inside.

    Raises:
        UnsupportedModelError: It says which part.
    """
    check_class(module, READOUTS, "A model")
    check_parts(type(module).__name__, _image_tower(module), vision_config(module))


def check_parts(name: str, parts: list[tuple[str, nn.Module]], config: Any) -> None:
    """Refuses a tower whose parts are not of transformers' own classes, or were changed.

    Args:
        name: The class of the model.
        parts: Where each part is, and the part.
        config: Of the tower.
    """
    activation = type(transformers_module("transformers.activations").ACT2FN[config.hidden_act])
    for where, part in parts:
        if not type(part).__module__.startswith(_OURS):
            raise unsupported(
                f"The parts of a `{name}` must be of transformers' own classes; got a "
                f"`{type(part).__name__}` at `{where}`"
            )
        eps = POOLED_EPS if where == "fc_norm" else config.layer_norm_eps
        if isinstance(part, nn.LayerNorm) and part.eps != eps:
            raise unsupported(
                f"Norms must have the config's `layer_norm_eps={eps}`; got {part.eps} at `{where}`"
            )
        if (
            where.endswith(("activation_fn", "mlp.act_fn", "intermediate_act_fn"))
            and where.count(".") > 1
        ):
            _check_activation(part, where, activation, config)
        _check_pass(part, where)


def _image_tower(module: nn.Module) -> list[tuple[str, nn.Module]]:
    parts = list(module.named_modules())[1:]
    return [(where, part) for where, part in parts if not where.startswith("text_")]


def _check_activation(part: nn.Module, where: str, activation: type, config: Any) -> None:
    gated = getattr(config, "use_swiglu_ffn", False)
    if type(part) is not activation and not gated:
        raise unsupported(
            f"An activation must be the config's `hidden_act={config.hidden_act!r}`; got a "
            f"`{type(part).__name__}` at `{where}`"
        )


def _check_pass(part: nn.Module, where: str) -> None:
    hooks = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
    # Those that transformers itself leaves behind after a run only take notes.
    others = [h for h in hooks if not getattr(h, "__module__", "").startswith("transformers.")]
    if others or "forward" in vars(part):
        raise UnsupportedModelError(
            "A module must have no forward hooks and no replaced `forward`, which may change what "
            f"it computes; got one on `{where}`. Remove it first."
        )


# ---- the configuration


@dataclass(frozen=True)
class _Source:
    """A model's class, config and weights, by the places of `_transformers_weights`."""

    readout: str
    config: Any
    weights: dict[str, Tensor]

    def has(self, place: str) -> bool:
        return place in self.weights

    @property
    def norm(self) -> NormConfig:
        return NormConfig("layer", self.config.layer_norm_eps)


def read_config(module: Any, weights: dict[str, Tensor]) -> HookedViTConfig:
    """What a model is made of.

    Args:
        module: Of a known class; it may lie on the meta device.
        weights: Its weights by place.

    Raises:
        UnsupportedModelError: A part that `HookedViT` lacks.
    """
    source = _Source(READOUTS[type(module).__name__], vision_config(module), weights)
    n_layers = count_layers(weights)
    if not n_layers:
        raise unsupported("There must be at least one block; got none")
    head = weights.get("head.linear.weight")
    return HookedViTConfig(
        n_layers=n_layers,
        d_model=source.config.hidden_size,
        n_classes=None if head is None else len(head),
        head_bias=source.has("head.linear.bias"),
        norm=source.norm,
        ln_pre=source.norm if source.has("ln_pre.w") else None,
        pooling=_pooling(source),
        **_token_fields(source),
        **_image_fields(source),
        **_block_fields(source),
    )


def _token_fields(source: _Source) -> dict[str, Any]:
    registers = source.weights.get("embedding.registers")
    n_registers = 0 if registers is None else registers.numel() // source.config.hidden_size
    distilled = source.has("embedding.distillation_token")
    reads_it = source.readout == "teacher"
    return {
        "cls_token": source.has("embedding.cls_token"),
        "distillation_token": distilled and reads_it,
        # Nobody reads that token without a head of its own: it is a register then.
        "n_registers": n_registers + (distilled and not reads_it),
        "position": _position(source),
    }


# By type of model, how positions are resampled: in each pass of some, in others when a pass is told
# `interpolate_pos_encoding`.
_RESAMPLED = {
    "beit": ResampleConfig(antialias=False),
    "dinov2": ResampleConfig(antialias=False, in_float32=True),
    "dinov2_with_registers": ResampleConfig(in_float32=True),
    "siglip2": ResampleConfig("bilinear", in_float32=True),
    "siglip2_vision_model": ResampleConfig("bilinear", in_float32=True),
}
_ON_REQUEST = ResampleConfig(antialias=False, always=False)


def _position(source: _Source) -> PositionConfig | None:
    if not source.has("embedding.pos"):
        return None
    if is_video(source.config):
        return PositionConfig(frames="added" if source.has("embedding.pos_time") else "own")
    fields = _image_fields(source)
    (rows, columns), (height, width) = fields["image_size"], fields["patch_size"]
    # transformers takes any positions that it resamples for those of a square.
    is_square = rows == columns and height == width
    how = _RESAMPLED.get(source.config.model_type, _ON_REQUEST)
    return PositionConfig(resample=how if is_square else None)


def _image_fields(source: _Source) -> dict[str, Any]:
    config = source.config
    patch = _pair(patch_size(config))
    if hasattr(config, "num_patches"):  # SigLIP 2, at the grid that its positions were learned for
        side = round(config.num_patches**0.5)
        size = (side * patch[0], side * patch[1])
    else:
        size = _pair(config.image_size)
    if any(s % p for s, p in zip(size, patch, strict=True)):
        raise unsupported(
            f"Patches must tile the image; got patches of {patch[0]} x {patch[1]} in an image of "
            f"{size[0]} x {size[1]}"
        )
    resampled = hasattr(config, "layerscale_value") or hasattr(config, "use_mean_pooling")
    square = size[0] == size[1] and patch[0] == patch[1]
    fixed = source.has("embedding.pos") or _has_relative_bias(source)
    fixed = fixed and not is_video(config)
    if resampled and fixed and not square:
        raise unsupported(
            f"Images must be square, since transformers resamples the positions of others in each "
            f"pass; got {size[0]} x {size[1]} in patches of {patch[0]} x {patch[1]}"
        )
    return {
        "image_size": size,
        "patch_size": patch,
        "n_channels": config.num_channels,
        "patch_bias": source.has("embedding.patch.bias"),
    } | clip_fields(config, source.weights)


def _block_fields(source: _Source) -> dict[str, Any]:
    config, weights = source.config, source.weights
    gated = source.has("blocks.0.mlp.gate.weight")
    mlp = "gate" if gated else "up" if source.has("blocks.0.mlp.up.weight") else "fc_in"
    is_silu = gated and getattr(config, "use_swiglu_ffn", False)
    rotary = RotaryConfig(interleaved=False) if hasattr(config, "rope_theta") else None
    return {
        "n_heads": config.num_attention_heads,
        "d_head": len(weights["blocks.0.attn.q.weight"]) // config.num_attention_heads,
        "d_mlp": len(weights[f"blocks.0.mlp.{mlp}.weight"]),
        "act_name": "silu" if is_silu else activation_name(config.hidden_act),
        "mlp_bias": source.has(f"blocks.0.mlp.{mlp}.bias"),
        "mlp_gate": gated,
        "layer_scale": source.has("blocks.0.attn.gain"),
        "attention": AttentionConfig(
            qkv_bias=any(source.has(f"blocks.0.attn.{letter}.bias") for letter in "qkv"),
            out_bias=source.has("blocks.0.attn.out.bias"),
            rotary=rotary,
            relative_bias=_has_relative_bias(source),
            space_time="divided" if source.has("blocks.0.ln_time.w") else "joint",
        ),
    }


def _has_relative_bias(source: _Source) -> bool:
    return source.has("shared_table") or source.has("blocks.0.attn.relative_bias.table")


def _pooling(source: _Source) -> PoolingConfig:
    readout, norm = source.readout, source.norm
    if readout == "beit":
        if not source.config.use_mean_pooling:
            return PoolingConfig("cls", norm)
        if not source.has("ln_final.w"):  # without its pooler, where the norm is
            return PoolingConfig("none", None)
        return PoolingConfig("mean", norm, norm_first=False)
    if readout == "videomae":
        return videomae_pooling(source.config, norm, has_norm=source.has("ln_final.w"))
    if readout == "raw_mean":
        return PoolingConfig("mean", None)
    if readout == "map" and source.has("pooling.map.probe"):
        return PoolingConfig("map", norm, map=_map(source))
    kinds: dict[str, Any] = {"teacher": "cls", "map": "none"}
    return PoolingConfig(kinds.get(readout, readout), norm)


def _map(source: _Source) -> MapConfig:
    config = source.config
    return MapConfig(
        n_heads=config.num_attention_heads,
        d_head=config.hidden_size // config.num_attention_heads,
        d_out=config.hidden_size,
        d_mlp=len(source.weights["pooling.map.mlp.fc_in.weight"]),
        act_name=activation_name(config.hidden_act),
        norm=source.norm,
    )


def activation_name(hidden_act: Any) -> Any:
    """Our name of one of transformers' activations."""
    if hidden_act not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise unsupported(f"`hidden_act` must be one of {known}; got {hidden_act!r}")
    return _ACTIVATIONS[hidden_act]


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
