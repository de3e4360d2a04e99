"""A model of each family, of the usual width and six blocks deep, with random weights."""

from collections.abc import Callable
from typing import Any

import open_clip
import timm
import torchvision
import transformers
from torch import Tensor

DEPTH = 6

# What takes part in the comparison: the module, and its own forward pass.
Source = tuple[Any, Callable[[Tensor], object]]


def _timm(name: str) -> Source:
    model = timm.create_model(name, pretrained=False, depth=DEPTH)
    return model, model


def _transformers(name: str, **fields: Any) -> Source:
    kind = getattr(transformers, name)
    config = kind.config_class(num_hidden_layers=DEPTH, **fields)
    model = kind(config)
    assert model.config._attn_implementation == "sdpa"
    return model, lambda images: model(pixel_values=images)


def _open_clip(name: str) -> Source:
    about = open_clip.get_model_config(name)
    about["vision_cfg"]["layers"] = DEPTH
    clip = open_clip.CLIP(**about)
    return clip.visual, clip.encode_image


def _torchvision() -> Source:
    model = torchvision.models.VisionTransformer(224, 16, DEPTH, 12, 768, 3072)
    return model, model


# A line for each family. The first rows of the results have timm's plain ViT.
SOURCES: dict[str, Callable[[], Source]] = {
    "timm Eva (EVA-02 B/14)": lambda: _timm("eva02_base_patch14_224"),
    "timm Eva (DINOv3 B/16)": lambda: _timm("vit_base_patch16_dinov3"),
    "timm Beit (B/16)": lambda: _timm("beit_base_patch16_224"),
    "timm ViT (SigLIP B/16)": lambda: _timm("vit_base_patch16_siglip_224"),
    "transformers ViT (B/16)": lambda: _transformers("ViTForImageClassification"),
    "transformers DINOv2 (B/14)": lambda: _transformers("Dinov2Model", image_size=224),
    "transformers DINOv3 (B/16)": lambda: _transformers(
        "DINOv3ViTModel", hidden_size=768, intermediate_size=3072, num_attention_heads=12
    ),
    "transformers BEiT (B/16)": lambda: _transformers("BeitModel", use_relative_position_bias=True),
    "transformers CLIP (B/32)": lambda: _transformers("CLIPVisionModel"),
    "transformers SigLIP (B/16)": lambda: _transformers("SiglipVisionModel"),
    "open_clip ViT (B/32)": lambda: _open_clip("ViT-B-32"),
    "open_clip ViT (B/32, QuickGELU)": lambda: _open_clip("ViT-B-32-quickgelu"),
    "torchvision ViT (B/16)": _torchvision,
}
