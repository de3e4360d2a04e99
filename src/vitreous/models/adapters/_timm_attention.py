"""Attention as timm's transformers have it, in our terms."""

from typing import NamedTuple

import torch
from torch import Tensor

from vitreous.models._part_configs import AttentionConfig, NormConfig, RotaryConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._timm_source import Part, Piece, Tensors, present, timm_module


class Around(NamedTuple):
    """What attention has to know of the model around it.

    Attributes:
        kinds: The classes of attention that this model's blocks may call.
        n_prefix: Tokens in front of the patches.
        grid: Patch rows and columns.
        rotary: How queries and keys are turned.
        shared_bias: A table of relative positions that all layers add to their scores.
    """

    kinds: tuple[type, ...]
    n_prefix: int
    grid: tuple[int, int]
    rotary: RotaryConfig | None = None
    shared_bias: Tensor | None = None


def plain_kinds() -> tuple[type, ...]:
    return (timm_module("timm.layers").Attention,)


def rotary_kinds() -> tuple[type, ...]:
    return timm_module("timm.models.eva").EvaAttention, timm_module("timm.layers").AttentionRope


def relative_kinds() -> tuple[type, ...]:
    return (timm_module("timm.models.beit").Attention,)


def read_attention(block: Part, name: str, around: Around) -> Piece:
    """An attention, and its weights as `attn.*`."""
    part = block.child(name, *around.kinds)
    part.inert("attn_drop", "proj_drop")
    if part.has("gate"):
        raise unsupported(
            f"Attention's output must not be gated; got a gate at `{part.where}.gate`"
        )
    n_heads = part.module.num_heads
    qkv = _qkv(part)
    d_head = len(qkv["attn.qkv.weight"]) // 3 // n_heads
    check_scale(part, d_head)
    qk_norm, norms = qk_norms(part)
    z_norm, behind_z = part.norm("norm", "attn.z_norm") if part.has("norm") else (None, {})
    out = part.linear("proj", "attn.out")
    _check_turn(part, around)
    table = _relative_bias(part, around)
    config = AttentionConfig(
        "attn.qkv.bias" in qkv,
        "attn.out.bias" in out,
        qk_norm,
        around.rotary,
        table is not None,
        z_norm=z_norm,
    )
    tables = present({"attn.relative_bias.table": table})
    fields = {"n_heads": n_heads, "d_head": d_head, "attention": config}
    return Piece(fields, qkv | norms | behind_z | out | tables)


def check_scale(part: Part, d_head: int) -> None:
    if part.module.scale != d_head**-0.5:
        raise unsupported(
            f"`{part.where}.scale` must be 1 / sqrt({d_head}); got {part.module.scale}"
        )


def qk_norms(part: Part) -> tuple[NormConfig | None, Tensors]:
    """The norm of queries and keys; an attention without the attribute has none."""
    if not part.has("q_norm"):
        return None, {}
    q_norm, q = part.norm("q_norm", "attn.q_norm")
    k_norm, k = part.norm("k_norm", "attn.k_norm")
    if q_norm != k_norm:
        raise unsupported(f"Queries and keys must have like norms; got two kinds in `{part.where}`")
    return q_norm, q | k


def _qkv(part: Part) -> Tensors:
    """Queries, keys and values as one linear map, however the source divides them."""
    if part.has("qkv"):
        whole = part.linear("qkv", "attn.qkv")
        biases = [part.tensor(f"{letter}_bias") for letter in "qkv"]
        if biases[0] is not None:
            whole["attn.qkv.bias"] = torch.cat(biases)  # type: ignore[arg-type]
        return whole
    n_groups = getattr(part.module, "num_kv_groups", 1)
    maps = [part.linear(f"{letter}_proj", letter) for letter in "qkv"]
    weights = [
        _spread(part, m[f"{x}.weight"], x, n_groups) for m, x in zip(maps, "qkv", strict=True)
    ]
    tensors = {"attn.qkv.weight": torch.cat(weights)}
    biases = [m.get(f"{x}.bias") for m, x in zip(maps, "qkv", strict=True)]
    if any(bias is not None for bias in biases):
        filled = [
            weight.new_zeros(len(weight)) if bias is None else _spread(part, bias, x, n_groups)
            for weight, bias, x in zip(weights, biases, "qkv", strict=True)
        ]
        tensors["attn.qkv.bias"] = torch.cat(filled)
    return tensors


def _spread(part: Part, rows: Tensor, letter: str, n_groups: int) -> Tensor:
    """Keys and values that several heads share, once for each of them."""
    if letter == "q" or n_groups == 1:
        return rows
    heads = rows.unflatten(0, (part.module.num_heads // n_groups, -1))
    return heads.repeat_interleave(n_groups, 0).flatten(0, 1)


def _check_turn(part: Part, around: Around) -> None:
    if around.rotary is None:
        return
    half = getattr(part.module, "rotate_half", False)
    if half == around.rotary.interleaved or part.module.num_prefix_tokens != around.n_prefix:
        raise unsupported(
            f"Attention must turn the {around.n_prefix} tokens behind the prefix as the tables of "
            f"the model say; got `rotate_half={half}` and "
            f"`num_prefix_tokens={part.module.num_prefix_tokens}` at `{part.where}`"
        )


def _relative_bias(part: Part, around: Around) -> Tensor | None:
    """The layer's own table and the one that all share, added up."""
    own, shared = part.tensor("relative_position_bias_table"), around.shared_bias
    if own is None:
        return shared
    window = tuple(part.module.window_size)
    if window != around.grid:
        raise unsupported(
            f"Relative positions must be those of the {around.grid} patches; got {window} at "
            f"`{part.where}`"
        )
    return own if shared is None else (own.double() + shared.double()).to(own.dtype)
