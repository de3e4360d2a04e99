"""Patches, prefix tokens and positions of timm's transformers, in our terms."""

import copy
from typing import Any, NamedTuple

from torch import nn

from vitreous._errors import UnsupportedModelError
from vitreous.models._part_configs import PositionConfig, ResampleConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._timm_source import Part, Tensors, present, timm_module


class EmbeddingPiece(NamedTuple):
    """What was read of an embedding.

    Attributes:
        fields: Fields of a `HookedViTConfig`.
        tensors: Weights by our names.
        grid: Patch rows and columns.
        n_prefix: Tokens in front of the patches.
        stem: A copy of the module that embeds patches, where that isn't a convolution.
    """

    fields: dict[str, Any]
    tensors: Tensors
    grid: tuple[int, int]
    n_prefix: int
    stem: nn.Module | None


def read_embedding(model: Part) -> EmbeddingPiece:
    registers = model.tensor("reg_token")
    tokens = {
        "cls_token": model.has("cls_token"),
        "distillation_token": model.has("dist_token"),
        "n_registers": 0 if registers is None else registers.shape[1],
    }
    n_prefix = sum(tokens.values())
    if model.module.num_prefix_tokens != n_prefix:  # timm's distilled model drops its registers
        raise unsupported(
            f"A model must use all of its {n_prefix} class, distillation and register tokens; got "
            f"`num_prefix_tokens={model.module.num_prefix_tokens}`"
        )
    hybrid = timm_module("timm.layers").HybridEmbed
    kinds = (timm_module("timm.layers").PatchEmbed, hybrid)
    patches = model.child("patch_embed", *kinds)
    read = _stem if patches.is_a(hybrid) else _convolution
    fields, tensors, grid, stem = read(patches)
    position, rows = _position(model, grid[0] * grid[1], n_prefix)
    tensors |= present(
        {
            "embedding.cls_token": model.tensor("cls_token"),
            "embedding.distillation_token": model.tensor("dist_token"),
            "embedding.registers": registers,
        }
    )
    return EmbeddingPiece(
        fields | tokens | {"position": position}, tensors | rows, grid, n_prefix, stem
    )


def _convolution(part: Part) -> tuple[dict[str, Any], Tensors, tuple[int, int], None]:
    conv = part.child("proj", nn.Conv2d)
    norm, norms = part.norm("norm", "embedding.patch_norm")
    source = conv.module
    size, patch = tuple(part.module.img_size), tuple(source.kernel_size)
    plain = (source.stride, source.padding, source.dilation, source.groups)
    padded = part.module.dynamic_img_pad and any(s % p for s, p in zip(size, patch, strict=True))
    if plain != (patch, (0, 0), (1, 1), 1) or padded:
        raise unsupported(
            f"Patches must tile the image; got patches of {patch[0]} x {patch[1]} at a stride of "
            f"{source.stride} in an image of {size[0]} x {size[1]}"
        )
    weights = {f"embedding.patch.{leaf}": conv.tensor(leaf) for leaf in ("weight", "bias")}
    fields = {
        "image_size": size,
        "patch_size": patch,
        "n_channels": source.in_channels,
        "patch_bias": source.bias is not None,
        "patch_norm": norm,
    }
    return fields, present(weights) | norms, (size[0] // patch[0], size[1] // patch[1]), None


def _stem(part: Part) -> tuple[dict[str, Any], Tensors, tuple[int, int], nn.Module]:
    """Convolutions in front of the transformer, kept as they are."""
    size, grid = tuple(part.module.img_size), tuple(part.module.grid_size)
    if any(s % g for s, g in zip(size, grid, strict=True)):
        raise unsupported(
            f"Patches must tile the image; got {grid[0]} x {grid[1]} in an image of {size[0]} x "
            f"{size[1]}"
        )
    stem = copy.deepcopy(part.module).eval()
    stem.flatten = True  # rows of patches, whatever the source makes of them later
    part.read_all()
    fields = {
        "image_size": size,
        "patch_size": (size[0] // grid[0], size[1] // grid[1]),
        "n_channels": part.module.in_chans,
        "stem": True,
    }
    return fields, {}, grid, stem  # type: ignore[return-value]


def _position(model: Part, n_patches: int, n_prefix: int) -> tuple[PositionConfig | None, Tensors]:
    rows = model.tensor("pos_embed")
    if rows is None:
        _check_prefix_without_positions(model.module, n_patches, n_prefix)
        return None, {}
    covers_prefix = not getattr(model.module, "no_embed_class", False)
    expected = n_patches + (n_prefix if covers_prefix else 0)
    if rows.shape[1] != expected:
        raise unsupported(
            f"`pos_embed` must have a row for each of {expected} positions; got {rows.shape[1]}, "
            "a grid that is resized in each pass"
        )
    always = bool(getattr(model.module, "dynamic_img_size", False))
    resample = ResampleConfig(in_float32=True, always=always)
    return PositionConfig(prefix=covers_prefix, resample=resample), {"embedding.pos": rows[0]}


def _check_prefix_without_positions(module: Any, n_patches: int, n_prefix: int) -> None:
    """Where there are no positions, older versions of timm leave out the class token too."""
    if not isinstance(module, timm_module("timm.models.vision_transformer").VisionTransformer):
        return
    patches = next(module.parameters()).new_zeros(1, 1, n_patches, module.embed_dim)
    patches = patches if module.dynamic_img_size else patches[0]
    n_tokens = module._pos_embed(patches).shape[1]
    if n_tokens != n_patches + n_prefix:
        raise UnsupportedModelError(
            f"Without positions there must be {n_patches + n_prefix} tokens all the same; got "
            f"{n_tokens}, since this version of timm drops class and register tokens. Update timm."
        )
