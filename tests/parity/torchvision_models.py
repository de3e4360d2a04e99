"""torchvision's vision transformers made small, random and comparable."""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

from tests.parity.open_clip_models import randomized


def names() -> list[str]:
    """Every name that builds a `VisionTransformer`."""
    home = models.vision_transformer.__name__
    return [n for n in models.list_models() if models.get_model_builder(n).__module__ == home]


def whole(name: str) -> Any:
    """A model of full size, without memory for its weights."""
    with torch.device("meta"):
        return models.get_model(name)


def random_model(name: str) -> nn.Module:
    """A model in float64 in which every weight is random: two blocks, four heads, four patches."""
    like = whole(name)
    width = 4 * like.encoder.layers[0].self_attention.head_dim
    small = VisionTransformer(
        image_size=2 * like.patch_size,
        patch_size=like.patch_size,
        num_layers=2,
        num_heads=4,
        hidden_dim=width,
        mlp_dim=width * like.mlp_dim // like.hidden_dim,
        num_classes=7,
    )
    return randomized(small)


def random_images(model: Any, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, model.image_size, model.image_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
