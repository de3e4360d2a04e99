"""Small random models in float64, with every bias, gain and scale randomised."""

from typing import Any

import torch
from torch import Tensor

from vitreous.models import HookedViT, HookedViTConfig, Norm, NormConfig, PoolingConfig

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
        for norm in model.modules():
            if isinstance(norm, Norm) and norm.w is not None:
                norm.w.add_(1)
    return model


def random_images(count: int = 2, seed: int = 1, size: tuple[int, int] = (12, 8)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *size, generator=generator, dtype=torch.float64)
