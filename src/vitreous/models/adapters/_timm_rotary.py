"""The angles by which timm's transformers turn queries and keys, as tables."""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vitreous.models._part_configs import RotaryConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._timm_source import Part, Tensors, on_meta, timm_module


class RotaryPiece(NamedTuple):
    """What was read of a rotary embedding: a configuration, where there is one, and tables."""

    config: RotaryConfig | None
    tensors: Tensors


def read_rotary(model: Part, grid: tuple[int, int], n_prefix: int) -> RotaryPiece:
    """The tables that the source's own module gives at its grid, and no turn of the prefix."""
    if not model.has("rope"):
        return RotaryPiece(None, {})
    layers = timm_module("timm.layers")
    kinds = ("RotaryEmbeddingCat", "RotaryEmbeddingDinoV3", "RotaryEmbeddingMixed")
    kinds += ("RotaryEmbeddingMRope",)  # of newer versions of timm
    part = model.child("rope", *(getattr(layers, k) for k in kinds if hasattr(layers, k)))
    part.read_all()
    mixed = part.is_a(layers.RotaryEmbeddingMixed)
    half = {getattr(block.attn, "rotate_half", False) for block in model.module.blocks}
    config = RotaryConfig(interleaved=half == {False}, per_layer=mixed, per_head=mixed)
    sin, cos = _tables(model, grid).chunk(2, -1)
    width = model.module.blocks[0].attn.head_dim
    if sin.shape[-2:] != (grid[0] * grid[1], width):
        raise unsupported(
            f"Rotary tables must have {grid[0] * grid[1]} rows of {width}; got "
            f"{list(sin.shape[-2:])} at `{part.where}`"
        )
    tables = {"rotary.cos": _behind(n_prefix, cos, 1.0), "rotary.sin": _behind(n_prefix, sin, 0.0)}
    return RotaryPiece(config, tables)


def _tables(model: Part, grid: tuple[int, int]) -> Tensor:
    """Sines and cosines side by side `[layers or 1, heads or 1, patches, 2 * d_head]`."""
    n_layers = len(model.module.blocks)
    if on_meta(model.module):
        rope: Any = model.module.rope
        width = 2 * model.module.blocks[0].attn.head_dim
        layers = (n_layers, rope.num_heads) if hasattr(rope, "depth") else (1, 1)
        return torch.empty(*layers, grid[0] * grid[1], width, device="meta")
    rope = copy.deepcopy(model.module.rope).eval()  # in training, places are jittered
    fixed = not model.module.dynamic_img_size and hasattr(rope, "feat_shape")
    with torch.no_grad():
        tables = rope.get_embed() if fixed else rope.get_embed(shape=list(grid))
    return tables[:n_layers] if tables.ndim == 4 else tables[None, None]


def _behind(n_prefix: int, table: Tensor, value: float) -> Tensor:
    prefix = table.new_full((*table.shape[:2], n_prefix, table.shape[-1]), value)
    return torch.cat([prefix, table], 2)
