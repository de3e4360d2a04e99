"""open_clip's image towers made small, random and comparable: the source of a parity test."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import open_clip
import timm
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from tests.parity import timm_models

_WIDE = 256  # four heads, where it can be chosen

# Trunks of timm's that are no vision transformers: convolutions, or windows that are merged.
_OTHERS = ("convnext", "fastvit", "swin")


def names() -> list[str]:
    """Every configuration whose image tower is a vision transformer."""
    towers = {name: open_clip.get_model_config(name)["vision_cfg"] for name in all_names()}
    trunks = {name: vision.get("timm_model_name", "") for name, vision in towers.items()}
    return [
        name
        for name, vision in towers.items()
        if not isinstance(vision.get("layers"), list) and not trunks[name].startswith(_OTHERS)
    ]


def all_names() -> list[str]:
    return open_clip.list_models()


def whole(name: str) -> Any:
    """A tower of full size, without memory for its weights."""
    about = copy.deepcopy(open_clip.get_model_config(name))
    about["vision_cfg"]["timm_model_pretrained"] = False
    with torch.device("meta"):
        return _tower(about)


def random_tower(name: str) -> nn.Module:
    """A tower in float64 in which every weight is random: two blocks, three by four patches.

    It is narrowed to four heads where it takes another width.
    """
    about = copy.deepcopy(open_clip.get_model_config(name))
    vision = about["vision_cfg"]
    if "timm_model_name" not in vision:
        _shrink(vision)
    with _short_trunks():
        tower = _tower(about)
    if isinstance(tower, TimmModel):
        timm_models.shortened(tower.trunk)
        tower.image_size = tower.trunk.patch_embed.img_size
    return randomized(tower)


def _tower(about: dict[str, Any]) -> Any:
    return open_clip.model._build_vision_tower(
        about["embed_dim"], about["vision_cfg"], about.get("quick_gelu", False)
    )


def _shrink(vision: dict[str, Any]) -> None:
    size, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
    rest = size % patch  # pixels of no patch
    vision |= {"layers": 2, "image_size": (3 * patch + rest, 4 * patch + rest)}
    if vision.get("width", 768) > _WIDE:
        vision["width"] = 4 * vision.get("head_width", 64)


@contextmanager
def _short_trunks() -> Iterator[None]:
    """Has open_clip make its trunks without memory, and narrow."""
    create = timm.create_model

    def skeleton(name: str, **changes: Any) -> Any:
        changes.pop("pretrained", None)
        timm.create_model = create
        try:
            whole = timm_models.skeleton(name, **changes)
            if whole.embed_dim <= _WIDE:
                return whole
            width = whole.embed_dim // whole.blocks[0].attn.num_heads * 4
            return timm_models.skeleton(name, **changes, embed_dim=width, num_heads=4)
        except (AssertionError, TypeError):
            return whole  # it takes no other width
        finally:
            timm.create_model = skeleton

    timm.create_model = skeleton
    try:
        yield
    finally:
        timm.create_model = create


@torch.no_grad()
def randomized(tower: Any) -> Any:
    """All weights random, in float64 and evaluation mode."""
    tower.double().eval()
    if any(parameter.is_meta for parameter in tower.parameters()):
        tower.to_empty(device="cpu")
    for part in tower.modules():
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    timm_models.randomized(tower)
    for part in tower.modules():
        if isinstance(part, nn.MultiheadAttention):  # a parameter of its own, not a linear map
            weights = [x for name, x in part.named_parameters() if name.endswith("proj_weight")]
            for weight in weights:
                weight.mul_(weight.shape[1] ** -0.5 / 0.3)
    return tower


def random_images(tower: Any, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((count, 3, *tower.image_size), generator=generator, dtype=torch.float64)


def blocks(tower: Any) -> Any:
    """The parts whose outputs are the residual stream."""
    is_native = isinstance(tower, VisionTransformer)
    return tower.transformer.resblocks if is_native else tower.trunk.blocks


def embedding(tower: Any, images: Tensor) -> Tensor:
    """What comes out; a tower that gives its tokens too gives them second."""
    output = tower(images)
    return output[0] if isinstance(output, tuple) else output
