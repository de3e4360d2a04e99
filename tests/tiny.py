"""Small random models in float64, with every bias, gain and scale randomised."""

from typing import Any

import torch
from torch import Tensor

from vitreous.models import (
    AttentionConfig,
    HookedViT,
    HookedViTConfig,
    MapConfig,
    Norm,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    RotaryConfig,
)

READOUTS: dict[str, dict[str, Any]] = {
    "class token": {},
    "mean behind the norm": {"pooling": PoolingConfig("mean")},
    "mean in front of the norm": {"pooling": PoolingConfig("mean", norm_first=False)},
    "distillation": {"distillation_token": True},
    "registers, ln_pre, LayerScale": {
        "n_registers": 2,
        "ln_pre": NormConfig(),
        "layer_scale": True,
    },
    "attention only, RMSNorm": {
        "d_mlp": None,
        "norm": NormConfig("rms"),
        "pooling": PoolingConfig("cls", NormConfig("rms", 1e-3)),
    },
    "no norm at all": {"norm": None, "pooling": PoolingConfig("mean", None)},
    "no positions": {"position": None, "cls_token": False, "pooling": PoolingConfig("mean")},
    "parallel, normed queries and keys": {
        "parallel": True,
        "attention": AttentionConfig(qk_norm=NormConfig("rms")),
    },
    "norms behind attention and MLP": {"norm": None, "out_norm": NormConfig()},
    "rotary, gated, norms inside": {
        "attention": AttentionConfig(rotary=RotaryConfig(), z_norm=NormConfig()),
        "act_name": "silu",
        "mlp_gate": True,
        "mlp_in_norm": NormConfig(),
        "mlp_norm": NormConfig(),
    },
    "a turn per layer and head, in halves": {
        "attention": AttentionConfig(rotary=RotaryConfig(False, True, True)),
        "pooling": PoolingConfig("mean", counts_prefix=True),
        "n_registers": 1,
    },
    "relative bias": {"attention": AttentionConfig(relative_bias=True), "position": None},
    "attention pooling": {
        "cls_token": False,
        "pooling": PoolingConfig(
            "map", map=MapConfig(2, 8, 16, d_mlp=12, norm=NormConfig(), k_norm=NormConfig())
        ),
    },
    "attention pooling in front of the norm": {
        "patch_norm": NormConfig("rms"),
        "pooling": PoolingConfig("map", norm_first=False, map=MapConfig(2, 6, 10)),
    },
    "a norm behind attention pooling": {
        "pooling": PoolingConfig("map", map=MapConfig(2, 6, 10, out_norm=NormConfig())),
    },
    "class token and mean side by side": {"pooling": PoolingConfig("cls_mean")},
    "causal": {"attention": AttentionConfig(causal=True), "pooling": PoolingConfig("mean")},
    "clips in tubelets, read at the first token": {
        "n_frames": 4,
        "tubelet": 2,
        "cls_token": False,
        "pooling": PoolingConfig("first"),
    },
    "clips, attention over time and over space": {
        "n_frames": 3,
        "attention": AttentionConfig(space_time="divided"),
        "position": PositionConfig(frames="added"),
    },
}


def random_model(seed: int = 0, **changes: Any) -> HookedViT:
    """3 layers, 4 heads, width 16, a 3 x 2 grid, 5 classes; `changes` go to the configuration."""
    shape = {"n_layers": 3, "d_model": 16, "n_heads": 4, "d_mlp": 20, "n_classes": 5}
    size = {"image_size": (12, 8), "patch_size": 4}
    model = HookedViT(HookedViTConfig(**(shape | size | changes))).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
        if model.rotary is not None:
            *which, d_head = model.rotary.cos.shape
            pairs = torch.randn(*which, d_head // 2, generator=generator)
            halves = torch.cat([pairs, pairs], -1)
            angles = pairs.repeat_interleave(2, -1) if model.rotary.interleaved else halves
            model.rotary.cos.copy_(angles.cos())
            model.rotary.sin.copy_(angles.sin())
        for norm in model.modules():
            if isinstance(norm, Norm) and norm.w is not None:
                norm.w.add_(1)
    return model


def random_images(count: int = 2, seed: int = 1, size: tuple[int, int] = (12, 8)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *size, generator=generator, dtype=torch.float64)


def images_of(model: HookedViT, count: int = 2, seed: int = 1) -> Tensor:
    """What a model takes: images, or clips."""
    return model.random_inputs(count, torch.Generator().manual_seed(seed))
