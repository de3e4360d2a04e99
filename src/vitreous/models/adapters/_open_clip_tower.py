"""An image tower of open_clip: its own, or a trunk of timm's with what open_clip puts behind it."""

from typing import Any

import torch
from torch import nn

from vitreous._optional import needs
from vitreous.models._config import HookedViTConfig
from vitreous.models._pooling import Head
from vitreous.models._vit import HookedViT
from vitreous.models.adapters import _timm
from vitreous.models.adapters._open_clip_blocks import parts
from vitreous.models.adapters._open_clip_config import read_config, weights
from vitreous.models.adapters._open_clip_images import preprocessing_of
from vitreous.models.adapters._parts import (
    check_untouched,
    exactly,
    filled,
    placement,
    unsupported,
)


def convert_image(module: Any, record: Any = None) -> HookedViT:
    """A `HookedViT` with a copy of an image tower's weights.

    Args:
        module: `clip.visual`.
        record: How images are prepared, where the tower has no record of it.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks.
    """
    refuse_image(module)
    if isinstance(module, _timm_model()):
        model = _convert_timm(module)
    else:
        place, name = placement(module), f"`{type(module).__name__}`"
        cfg = read_config(module)
        model = filled(cfg, weights(module, cfg), place, name)
    model.labels = None
    model.preprocessing = preprocessing_of(module, record, model.cfg)
    return model


def refuse_image(module: Any) -> None:
    """Raises `UnsupportedModelError` where a tower, maybe without weights, can't be converted."""
    exactly(module, "module", parts().VisionTransformer, _timm_model())
    if isinstance(module, _timm_model()):
        _refuse_timm(module)
    else:
        read_config(module)


def describe_image(tower: Any) -> HookedViTConfig:
    """What an image tower is made of; it may lie on the meta device."""
    refuse_image(tower)
    if isinstance(tower, _timm_model()):
        raise unsupported("The tower must be open_clip's own; got one of timm's")
    return read_config(tower)


def _timm_model() -> type:
    return needs("open_clip.timm_model", extra="clip", feature='load("open_clip:...")').TimmModel


def _refuse_timm(module: Any) -> None:
    """A trunk of timm's, pooled by itself, and at most one linear layer behind it."""
    check_untouched(module)
    exactly(module.head, "head", nn.Sequential)
    for name, part in module.head.named_children():
        if type(part) not in (nn.Dropout, nn.Linear):
            feature = {"mlp": "an MLP", "pool": "attention pooling over a grid"}.get(name, "a part")
            raise unsupported(
                f"Behind the trunk there must be a linear layer or nothing; got {feature}, a "
                f"`{type(part).__name__}` at `head.{name}`"
            )
    if not _timm.converts(module.trunk):
        raise unsupported(
            f"The trunk must be a vision transformer; got a `{type(module.trunk).__name__}`"
        )


@torch.no_grad()
def _convert_timm(module: Any) -> HookedViT:
    model = _timm.convert(module.trunk)
    linear = getattr(module.head, "proj", None)
    if linear is None:
        return model
    if model.cfg.n_classes is not None:
        raise unsupported("The trunk must have no head of its own; got one beside `head.proj`")
    device, dtype = placement(module)
    model.cfg = model.cfg.replace(n_classes=linear.out_features, head_bias=linear.bias is not None)
    model.head = Head(model.cfg).to(device, dtype)
    for head in (model.head.linear, model.head.distillation):
        if head is not None:
            head.load_state_dict(linear.state_dict())
    return model
