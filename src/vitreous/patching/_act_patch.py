"""The sweeps of TransformerLens by their names: thin entries on `generic_activation_patch`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vitreous.hooks import ActivationCache
from vitreous.models import GlassTransformer
from vitreous.patching._generic import generic_activation_patch
from vitreous.patching._restarts import Setter

Metric = Callable[[Tensor], Tensor | float]
Entry = Callable[..., Tensor]


def layer_pos_patch_setter(corrupted: Tensor, index: tuple[int, ...], clean: Tensor) -> Tensor:
    """Index (layer, pos), of values `[batch tokens ...]`."""
    _, pos = index
    corrupted[:, pos] = clean[:, pos]
    return corrupted


def layer_pos_head_vector_patch_setter(
    corrupted: Tensor, index: tuple[int, ...], clean: Tensor
) -> Tensor:
    """Index (layer, pos, head), of values `[batch tokens heads d_head]`."""
    _, pos, head = index
    corrupted[:, pos, head] = clean[:, pos, head]
    return corrupted


def layer_head_vector_patch_setter(
    corrupted: Tensor, index: tuple[int, ...], clean: Tensor
) -> Tensor:
    """Index (layer, head), of values `[batch tokens heads d_head]`, at all tokens."""
    _, head = index
    corrupted[:, :, head] = clean[:, :, head]
    return corrupted


def layer_head_pattern_patch_setter(
    corrupted: Tensor, index: tuple[int, ...], clean: Tensor
) -> Tensor:
    """Index (layer, head), of patterns `[batch heads queries keys]`."""
    _, head = index
    corrupted[:, head] = clean[:, head]
    return corrupted


def layer_head_pos_pattern_patch_setter(
    corrupted: Tensor, index: tuple[int, ...], clean: Tensor
) -> Tensor:
    """Index (layer, head, query), of patterns `[batch heads queries keys]`."""
    _, head, query = index
    corrupted[:, head, query] = clean[:, head, query]
    return corrupted


def layer_head_dest_src_pos_pattern_patch_setter(
    corrupted: Tensor, index: tuple[int, ...], clean: Tensor
) -> Tensor:
    """Index (layer, head, query, key), of patterns `[batch heads queries keys]`."""
    _, head, query, key = index
    corrupted[:, head, query, key] = clean[:, head, query, key]
    return corrupted


def _entry(name: str, point: str, setter: Setter, axes: tuple[str, ...]) -> Entry:
    """A sweep with everything said but the model, the two runs and the metric."""

    def patched(
        model: GlassTransformer,
        corrupted_tokens: Tensor,
        clean_cache: ActivationCache,
        patching_metric: Metric,
        **how: Any,
    ) -> Tensor:
        run = partial(generic_activation_patch, model, corrupted_tokens, clean_cache)
        return run(patching_metric, setter, point, axes, **how)

    patched.__name__ = patched.__qualname__ = f"get_act_patch_{name}"
    patched.__doc__ = (
        f"The metric with clean `{point}` patched in, one dimension each for {', '.join(axes)}.\n\n"
        "Arguments are those of `generic_activation_patch`."
    )
    return patched


_BY_POS = ("layer", "pos")
_BY_HEAD = ("layer", "head")
_BY_BOTH = ("layer", "pos", "head")

get_act_patch_resid_pre = _entry("resid_pre", "resid_pre", layer_pos_patch_setter, _BY_POS)
get_act_patch_resid_mid = _entry("resid_mid", "resid_mid", layer_pos_patch_setter, _BY_POS)
get_act_patch_attn_out = _entry("attn_out", "attn_out", layer_pos_patch_setter, _BY_POS)
get_act_patch_mlp_out = _entry("mlp_out", "mlp_out", layer_pos_patch_setter, _BY_POS)


def _of_heads(letter: str, point: str) -> tuple[Entry, Entry]:
    """Head by head: at one token each, and at all of them."""
    name = f"attn_head_{letter}"
    return (
        _entry(f"{name}_by_pos", point, layer_pos_head_vector_patch_setter, _BY_BOTH),
        _entry(f"{name}_all_pos", point, layer_head_vector_patch_setter, _BY_HEAD),
    )


get_act_patch_attn_head_out_by_pos, get_act_patch_attn_head_out_all_pos = _of_heads("out", "z")
get_act_patch_attn_head_q_by_pos, get_act_patch_attn_head_q_all_pos = _of_heads("q", "q")
get_act_patch_attn_head_k_by_pos, get_act_patch_attn_head_k_all_pos = _of_heads("k", "k")
get_act_patch_attn_head_v_by_pos, get_act_patch_attn_head_v_all_pos = _of_heads("v", "v")
get_act_patch_attn_head_pattern_all_pos = _entry(
    "attn_head_pattern_all_pos", "pattern", layer_head_pattern_patch_setter, ("layer", "head_index")
)
get_act_patch_attn_head_pattern_by_pos = _entry(
    "attn_head_pattern_by_pos",
    "pattern",
    layer_head_pos_pattern_patch_setter,
    ("layer", "head_index", "dest_pos"),
)
get_act_patch_attn_head_pattern_dest_src_pos = _entry(
    "attn_head_pattern_dest_src_pos",
    "pattern",
    layer_head_dest_src_pos_pattern_patch_setter,
    ("layer", "head_index", "dest_pos", "src_pos"),
)


def get_act_patch_attn_head_all_pos_every(
    model: GlassTransformer,
    corrupted_tokens: Tensor,
    clean_cache: ActivationCache,
    metric: Metric,
    **how: Any,
) -> Tensor:
    """Heads at all tokens, `[5 layers heads]`: output, q, k, v and pattern."""
    entries = (
        get_act_patch_attn_head_out_all_pos,
        get_act_patch_attn_head_q_all_pos,
        get_act_patch_attn_head_k_all_pos,
        get_act_patch_attn_head_v_all_pos,
        get_act_patch_attn_head_pattern_all_pos,
    )
    return torch.stack([e(model, corrupted_tokens, clean_cache, metric, **how) for e in entries])


def get_act_patch_attn_head_by_pos_every(
    model: GlassTransformer,
    corrupted_tokens: Tensor,
    clean_cache: ActivationCache,
    metric: Metric,
    **how: Any,
) -> Tensor:
    """Heads at one token each, `[5 layers tokens heads]`: output, q, k, v, and pattern by query."""
    entries = (
        get_act_patch_attn_head_out_by_pos,
        get_act_patch_attn_head_q_by_pos,
        get_act_patch_attn_head_k_by_pos,
        get_act_patch_attn_head_v_by_pos,
    )
    found = [entry(model, corrupted_tokens, clean_cache, metric, **how) for entry in entries]
    by_query = get_act_patch_attn_head_pattern_by_pos(
        model, corrupted_tokens, clean_cache, metric, **how
    )
    return torch.stack([*found, by_query.transpose(1, 2)])


def get_act_patch_block_every(
    model: GlassTransformer,
    corrupted_tokens: Tensor,
    clean_cache: ActivationCache,
    metric: Metric,
    **how: Any,
) -> Tensor:
    """Parts of blocks at one token each, `[3 layers tokens]`: resid_pre, attn_out and mlp_out."""
    entries = (get_act_patch_resid_pre, get_act_patch_attn_out, get_act_patch_mlp_out)
    return torch.stack([e(model, corrupted_tokens, clean_cache, metric, **how) for e in entries])
