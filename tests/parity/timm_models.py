"""timm's models made small, random and comparable: the source of a parity test."""

from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.layers import HybridEmbed
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

# The module of timm that defines a name, and the class that all its names build.
_HOMES = {
    "beit": Beit,
    "deit": VisionTransformer,
    "eva": Eva,
    "vision_transformer": VisionTransformer,
    "vision_transformer_hybrid": VisionTransformer,
    "vitamin": VisionTransformer,
}


def names(family: type) -> list[str]:
    """Every name of an architecture that builds a model of a family."""
    homes = {name: timm.model_entrypoint(name).__module__ for name in timm.list_models()}
    return [name for name, home in homes.items() if _HOMES.get(home.rpartition(".")[2]) is family]


def whole(name: str, **changes: Any) -> Any:
    """A model of full size, without memory for its weights where there is such a thing."""
    try:
        with torch.device("meta"):
            return timm.create_model(name, **changes)
    except RuntimeError:  # a stem asks its output for numbers
        return timm.create_model(name, **changes)


def skeleton(name: str, **changes: Any) -> Any:
    """The same with two blocks, or all of them where something is given for every block."""
    try:
        return whole(name, **{"depth": 2} | changes)
    except AssertionError:
        return whole(name, **changes)


def shortened(model: Any) -> nn.Module:
    """The first and the middle block of a model, at an image of three by four patches."""
    blocks = list(model.blocks)
    kept = [blocks[0], blocks[len(blocks) // 2]] if len(blocks) > 1 else blocks
    is_list = isinstance(model.blocks, nn.ModuleList)
    model.blocks = nn.ModuleList(kept) if is_list else nn.Sequential(*kept)
    embedding = model.patch_embed
    (height, width), grid = embedding.img_size, embedding.grid_size
    rows, columns = height // grid[0], width // grid[1]
    is_hybrid = isinstance(embedding, HybridEmbed)
    beyond = (0, 0) if is_hybrid else (height % rows, width % columns)  # pixels of no patch
    model.set_input_size(img_size=(3 * rows + beyond[0], 4 * columns + beyond[1]))
    return model


def narrowed(name: str, wider_than: int, n_heads: int) -> nn.Module:
    """A model with few of its heads, where it is wide and takes another width at all."""
    model = skeleton(name)
    part = model.blocks[0]
    source = part if hasattr(part, "num_heads") else getattr(part, "attn", None)
    if model.embed_dim <= wider_than or source is None:
        return model
    width = model.embed_dim // source.num_heads * n_heads
    try:
        return skeleton(name, embed_dim=width, num_heads=n_heads)
    except (AssertionError, TypeError, ValueError):
        return model  # keys are shared by so many heads, or the stem has so many channels


def random_model(name: str, *, wider_than: int = 256, n_heads: int = 4) -> nn.Module:
    """A model in float64 in which every weight, norm, table and statistic is random.

    It is shortened, and narrowed to a few heads where it is wider than a number.
    """
    model = shortened(narrowed(name, wider_than, n_heads)).double().eval()
    if any(p.is_meta for p in model.parameters()):
        model.to_empty(device="cpu")
    for part in model.modules():
        if hasattr(part, "init_non_persistent_buffers"):
            part.init_non_persistent_buffers()
    return randomized(model)


@torch.no_grad()
def randomized(model: nn.Module) -> nn.Module:
    """Random weights of a size that keeps attention between even and one-hot."""
    for part in model.modules():
        is_map = isinstance(part, (nn.Linear, nn.Conv2d))
        for name, parameter in part.named_parameters(recurse=False):
            wide = is_map and name == "weight"
            parameter.normal_(std=parameter[0].numel() ** -0.5 if wide else 0.3)
            if "Norm" in type(part).__name__ and name == "weight":
                parameter.add_(1)
        for name, buffer in part.named_buffers(recurse=False):
            if name == "running_mean":
                buffer.normal_(std=0.3)
            elif name == "running_var":
                buffer.uniform_(0.5, 1.5)
    return model


def random_images(model: Any, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, model.in_chans, *model.patch_embed.img_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def residuals(run: Callable[[], Tensor], blocks: Any) -> dict[str, Tensor]:
    """The stream behind every block, by our names, and what comes out."""
    seen: dict[str, Tensor] = {}

    def tap(layer: int) -> Callable[..., None]:
        name = f"blocks.{layer}.hook_resid_post"
        return lambda _part, _inputs, out: seen.update(
            {name: out[0] if isinstance(out, tuple) else out}
        )

    handles = [block.register_forward_hook(tap(layer)) for layer, block in enumerate(blocks)]
    logits = run()
    for handle in handles:
        handle.remove()
    return seen | {"logits": logits}
