"""One run of a model in which every layer's attention is seen, and none is kept."""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from vitreous.models import HookedViT, TokenLayout, require_finite

React = Callable[[int, Tensor], None]

POINTS = {"pattern": "hook_pattern", "scores": "hook_attn_scores"}


def watch_attention(model: HookedViT, pixels: Tensor, of: str, react: React) -> None:
    """Runs a model and hands each layer's patterns or scores to `react`, in half precision wider.

    Raises:
        ValueError: A pattern that isn't finite, or no score of a row that is.
    """

    def hook_of(layer: int, name: str) -> tuple[str, Callable[..., None]]:
        def look(attention: Tensor, hook: object) -> None:
            seen = attention if of == "pattern" else attention.masked_fill(attention.isneginf(), 0)
            require_finite(seen, name)
            react(layer, attention.to(torch.promote_types(attention.dtype, torch.float32)))

        return name, look

    names = [f"blocks.{layer}.attn.{POINTS[of]}" for layer in range(model.cfg.n_layers)]
    hooks = [hook_of(layer, name) for layer, name in enumerate(names)]
    with torch.no_grad():
        model.run_with_hooks(pixels, fwd_hooks=hooks, return_type=None)


def visible_keys(model: HookedViT, layout: TokenLayout) -> Bool[Tensor, "queries keys"]:
    """Which keys a query can see; the same in every layer."""
    n_tokens, like = layout.n_tokens, model.placement
    bias = model.blocks[0].attn.score_bias(like.new_zeros(1, n_tokens, model.cfg.n_heads, 1))
    if bias is None:
        return torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=like.device)
    return ~bias.isneginf()[0, 0]
