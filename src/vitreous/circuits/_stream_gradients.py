"""Gradients at what reads the stream, from one plain backward pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.hooks import HookFunction
from vitreous.models import Block, GlassTransformer, Target, frozen
from vitreous.models._positions import Layout

Stream = Float[Tensor, "batch tokens d_model"]
Hooks = Sequence[tuple[str, HookFunction]]


@dataclass(frozen=True)
class BlockGradients:
    """Of the target, summed over images, in one block.

    Attributes:
        layer: Which block.
        stream: What enters it.
        projected: At queries, keys and values, in front of norms and turns.
        along: How much of the gradient at each head's queries, keys and values would change the
            length of what they read, which the norm in front of them takes back.
        mlp: At the stream that the MLP reads, by way of the MLP alone; None where there is none.
        entering: At what enters the block.
        behind_mlp: At the stream where the MLP has written, by all ways.
        parallel: Whether the MLP stands beside attention.
    """

    layer: int
    stream: Stream
    projected: tuple[Float[Tensor, "batch tokens heads d_head"], ...]
    along: Float[Tensor, "batch tokens destinations"]
    mlp: Stream | None
    entering: Stream
    behind_mlp: Stream
    parallel: bool

    @property
    def behind_heads(self) -> Stream:
        """At the stream where the heads have written, by all ways."""
        if self.mlp is None or self.parallel:
            return self.behind_mlp
        return self.behind_mlp + self.mlp


@dataclass(frozen=True)
class StreamGradients:
    """Of the target, summed over images, in the last blocks.

    Attributes:
        blocks: Of those blocks, the last one first.
        readout: At what leaves the last one.
    """

    blocks: list[BlockGradients]
    readout: Stream


def points(model: GlassTransformer, first: int = 0) -> list[str]:
    """Where values and gradients of a run from block `first` on have to be recorded."""
    names = ["hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v"]
    names += ["hook_mlp_in"] * model.cfg.has_resid_mid
    layers = range(first, model.cfg.n_layers)
    last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    return [*(f"blocks.{layer}.{name}" for layer in layers for name in names), last]


def gradients_from(
    target: Target, stream: Stream, first: int, layout: Layout, hooks: Hooks = ()
) -> StreamGradients:
    """One pass forth and back, from block `first` on.

    Args:
        target: What is differentiated.
        stream: What enters that block.
        first: The block.
        layout: Where tokens are.
        hooks: For this run, besides the active ones.
    """
    model = target.model
    if first == model.cfg.n_layers:
        return StreamGradients([], _readout_gradient(target, stream, layout))
    with frozen(model):
        _, cache = model.run_with_cache(
            stream,
            names_filter=points(model, first),
            fwd_hooks=hooks,
            incl_bwd=target,
            start_at_layer=first,
            layout=layout,
        )
    return in_order(model, cache, first)


def in_order(
    model: GlassTransformer, cache: Mapping[str, Tensor], first: int = 0
) -> StreamGradients:
    """What a run recorded at `points(model, first)`, with gradients, block by block."""
    behind = readout = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post_grad"]
    blocks = []
    for layer in reversed(range(first, model.cfg.n_layers)):
        blocks.append(_of_block(model.blocks[layer], layer, cache, behind))
        behind = blocks[-1].entering
    return StreamGradients(blocks, readout)


@torch.no_grad()
def _of_block(
    block: Block, layer: int, cache: Mapping[str, Tensor], behind: Stream
) -> BlockGradients:
    base = f"blocks.{layer}."
    stream, entering = (cache[f"{base}hook_resid_pre{end}"] for end in ("", "_grad"))
    projected = tuple(cache[f"{base}attn.hook_{letter}_grad"] for letter in "qkv")
    mlp = None
    if block.mlp is not None and block.parallel:
        # Beside attention it reads what attention reads, and has what that leaves of the gradient.
        mlp = entering - behind - _by_attention(block, stream, projected)
    elif block.mlp is not None:
        mlp = cache[f"{base}hook_mlp_in_grad"]
    linear = [cache[f"{base}attn.hook_{letter}"] for letter in "qkv"]
    along = _along_norm(block, torch.cat(linear, 2), torch.cat(projected, 2))
    return BlockGradients(layer, stream, projected, along, mlp, entering, behind, block.parallel)


def _along_norm(
    block: Block,
    linear: Float[Tensor, "batch tokens destinations d_head"],
    gradients: Float[Tensor, "batch tokens destinations d_head"],
) -> Float[Tensor, "batch tokens destinations"]:
    """The gradient times what is read without biases, on which its length has its effect."""
    attn, norm = block.attn, block.ln1
    if attn.qkv.bias is not None:
        linear = linear - attn.qkv.bias.view(linear.shape[2:])
    if norm is not None and norm.b is not None:
        linear = linear - (attn.qkv.weight @ norm.b).view(linear.shape[2:])
    return (linear * gradients).sum(-1)


def _by_attention(block: Block, stream: Stream, projected: tuple[Tensor, ...]) -> Stream:
    """The gradient at what enters a block, by way of its attention alone."""
    behind_norm = torch.stack(projected, 2).flatten(2) @ block.attn.qkv.weight
    return behind_norm if block.ln1 is None else block.ln1.gradient(behind_norm, stream)


def _readout_gradient(target: Target, stream: Stream, layout: Layout) -> Stream:
    read = stream.detach().requires_grad_()
    with torch.enable_grad(), frozen(target.model):
        logits = target.model(read, start_at_layer=target.model.cfg.n_layers, layout=layout)
        return torch.autograd.grad(target(logits).sum(), read)[0]
