"""Gradients at what reads the stream, block by block from the last, without keeping a graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.hooks import HookFunction
from vitreous.models import Block, GlassTransformer, Norm, Target, frozen
from vitreous.models._positions import Layout

Stream = Float[Tensor, "batch tokens d_model"]
Hooks = Sequence[tuple[str, HookFunction]]


@dataclass(frozen=True)
class BlockGradients:
    """Of one block.

    Attributes:
        layer: Which.
        stream: What entered it.
        projected: At queries, keys and values, in front of norms and turns.
        mlp: At the stream that the MLP reads, by way of the MLP alone; None where there is none.
        behind_heads: At the stream where the heads have written, by all ways.
        behind_mlp: The same for the MLP.
        entering: At what entered the block.
    """

    layer: int
    stream: Stream
    projected: tuple[Float[Tensor, "batch tokens heads d_head"], ...]
    mlp: Stream | None
    behind_heads: Stream
    behind_mlp: Stream
    entering: Stream


@torch.no_grad()
def streams_from(
    model: GlassTransformer, stream: Stream, first: int, layout: Layout, hooks: Hooks = ()
) -> list[Stream]:
    """What enters each block from `first` on, and what leaves the last, of another beginning."""
    if first == model.cfg.n_layers:
        return [stream]
    names = [f"blocks.{i}.hook_resid_pre" for i in range(first, model.cfg.n_layers)]
    names.append(f"blocks.{model.cfg.n_layers - 1}.hook_resid_post")
    where: dict[str, Any] = {"start_at_layer": first, "layout": layout, "return_type": None}
    _, cache = model.run_with_cache(stream, names_filter=names, fwd_hooks=hooks, **where)
    return [cache[name] for name in names]


def readout_gradient(target: Target, stream: Stream, layout: Layout) -> Stream:
    """Of the target, summed over images, at the last stream.

    Raises:
        ValueError: The target can't be differentiated.
    """
    model = target.model
    read = stream.detach().requires_grad_()
    with torch.enable_grad(), frozen(model):
        logits = model(read, start_at_layer=model.cfg.n_layers, layout=layout)
        value = target(logits).sum()
        if not value.requires_grad:
            raise ValueError(
                f"`{target.name}` must be differentiable; its value has no graph. Compute it with "
                "torch operations on the output, or use method 'exact'."
            )
        return torch.autograd.grad(value, read)[0]


def block_gradients(
    model: GlassTransformer,
    streams: Sequence[Stream],
    behind: Stream,
    layout: Layout,
    hooks: Hooks = (),
) -> Iterator[BlockGradients]:
    """The blocks that `streams` enter, from the last.

    Each block runs once more and is differentiated by itself, so that one block's graph is held at
    a time, and none of parameters.

    Args:
        model: Whose blocks.
        streams: What enters the last blocks, and what leaves the last one.
        behind: The gradient at what leaves the last one.
        layout: Where tokens are.
        hooks: Those of the run that the streams are of, besides active ones.
    """
    first = model.cfg.n_layers + 1 - len(streams)
    with frozen(model):
        for layer in reversed(range(first, model.cfg.n_layers)):
            own = [pair for pair in hooks if pair[0].startswith(f"blocks.{layer}.")]
            block = _of_block(model, layer, streams[layer - first], behind, layout, own)
            behind = block.entering
            yield block


def _of_block(
    model: GlassTransformer,
    layer: int,
    stream: Stream,
    behind: Stream,
    layout: Layout,
    hooks: Hooks,
) -> BlockGradients:
    block, base = model.blocks[layer], f"blocks.{layer}."
    names = ["hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v"]
    names += ["hook_mlp_in"] * (block.mlp is not None and not block.parallel)
    _, cache = model.run_with_cache(
        stream,
        names_filter=[base + name for name in names],
        fwd_hooks=hooks,
        incl_bwd=lambda left: (left * behind).sum(),
        start_at_layer=layer,
        stop_at_layer=layer + 1,
        layout=layout,
    )
    at = {name: cache[f"{base}{name}_grad"] for name in names}
    entering = at["hook_resid_pre"]
    projected = tuple(at[f"attn.hook_{letter}"] for letter in "qkv")
    behind_heads, mlp = behind, at.get("hook_mlp_in")
    if mlp is not None:
        behind_heads = behind + mlp
    elif block.mlp is not None:  # beside attention it reads what attention reads
        mlp = entering - behind - _by_attention(block, stream, projected)
    return BlockGradients(layer, stream, projected, mlp, behind_heads, behind, entering)


def _by_attention(block: Block, stream: Stream, projected: tuple[Tensor, ...]) -> Stream:
    """The gradient at what enters a block, by way of its attention alone."""
    behind_norm = torch.stack(projected, 2).flatten(2) @ block.attn.qkv.weight
    norm: Norm | None = block.ln1
    return behind_norm if norm is None else norm.gradient(behind_norm, stream)
