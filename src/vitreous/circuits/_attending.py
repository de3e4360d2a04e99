"""Attention of stacked runs, from the tokens that are read later."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vitreous.models import Attention


def attended(
    attention: Attention,
    q: Float[Tensor, "batch positions heads d_head"],
    k: Float[Tensor, "batch keys heads d_head"],
    v: Float[Tensor, "batch keys heads d_head"],
    read: list[int] | None,
    hidden: Bool[Tensor, "batch keys"] | None,
) -> Float[Tensor, "batch positions heads d_head"]:
    """What heads read, from queries, keys and values as they leave their linear maps.

    Args:
        attention: Whose they are.
        q: Queries of the tokens of `read`.
        k: Keys of all tokens.
        v: Values of all tokens.
        read: Tokens that attend; None for all.
        hidden: Tokens that nobody attends to; None for none.
    """
    if attention.q_norm is not None:
        q = attention.q_norm.fused(q)
    if attention.k_norm is not None:
        k = attention.k_norm.fused(k)
    if attention.rotary is not None:
        q, k = _turned(attention, q, k, read), attention.turn(k)
    if read is None:
        return attention.fused(q, k, v, hidden)
    bias = attention.score_bias(k, hidden)
    bias = None if bias is None else bias[:, :, read]
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    z = functional.scaled_dot_product_attention(q, k, v, bias, scale=attention.attn_scale)
    return z.transpose(1, 2)


def _turned(attention: Attention, q: Tensor, k: Tensor, read: list[int] | None) -> Tensor:
    """Queries turned by the angles of their own places."""
    if read is None:
        return attention.turn(q)
    in_place = torch.zeros_like(k)
    in_place[:, read] = q
    return attention.turn(in_place)[:, read]
