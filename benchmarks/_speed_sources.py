"""A model of each family, of the usual width and six blocks deep, with random weights."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import open_clip
import timm
import torchvision
import transformers
from torch import Tensor

DEPTH, FRAMES = 6, 4


class Source(NamedTuple):
    """What takes part in the comparison: a module, its own forward pass, and which tower it is."""

    module: Any
    run: Callable[[Tensor], object]
    tower: Literal["image", "text"] = "image"


def _timm(name: str) -> Source:
    model = timm.create_model(name, pretrained=False, depth=DEPTH)
    return Source(model, model)


def _transformers(name: str, **fields: Any) -> Source:
    kind = getattr(transformers, name)
    config = kind.config_class(num_hidden_layers=DEPTH, **fields)
    model = kind(config)
    assert model.config._attn_implementation == "sdpa"
    return Source(model, lambda images: model(pixel_values=images))


def _transformers_text(name: str) -> Source:
    kind = getattr(transformers, name)
    model = kind(kind.config_class(num_hidden_layers=DEPTH))
    assert model.config._attn_implementation == "sdpa"
    return Source(model, lambda tokens: model(input_ids=tokens), "text")


def _transformers_video(name: str) -> Source:
    kind = getattr(transformers, name)
    model = kind(kind.config_class(num_hidden_layers=DEPTH, num_frames=FRAMES))
    return Source(model, lambda clips: model(pixel_values=clips))


def _open_clip(name: str) -> Source:
    about = open_clip.get_model_config(name)
    about["vision_cfg"]["layers"] = DEPTH
    clip = open_clip.CLIP(**about)
    return Source(clip.visual, clip.encode_image)


def _open_clip_text(name: str) -> Source:
    about = open_clip.get_model_config(name)
    about["text_cfg"]["layers"] = DEPTH
    clip = open_clip.CustomTextCLIP(**about)
    return Source(clip.text, clip.text, "text")


def _torchvision() -> Source:
    model = torchvision.models.VisionTransformer(224, 16, DEPTH, 12, 768, 3072)
    return Source(model, model)


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
    "open_clip text (of B/32)": lambda: _open_clip_text("ViT-B-32"),
    "transformers CLIP text (of B/32)": lambda: _transformers_text("CLIPTextModelWithProjection"),
    "transformers SigLIP text (of B/16)": lambda: _transformers_text("SiglipTextModel"),
    "transformers VideoMAE (B/16, 4 frames)": lambda: _transformers_video("VideoMAEModel"),
    "transformers ViViT (B/16, 4 frames)": lambda: _transformers_video("VivitModel"),
    "transformers TimeSformer (B/16, 4 frames)": lambda: _transformers_video("TimesformerModel"),
    "torchvision ViT (B/16)": _torchvision,
}
