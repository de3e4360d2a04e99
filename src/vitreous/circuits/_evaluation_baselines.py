"""Scores that know nothing, or only the weights: what a method must beat."""

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.models import MLP, GlassTransformer, Graph, Norm


def score_at_random(graph: Graph, *, seed: int = 0) -> Graph:
    """Scores between 0 and 1 by chance, for every edge that there is."""
    generator = torch.Generator().manual_seed(seed)
    return graph.scored(torch.rand(graph.possible.shape, generator=generator))


def score_reversed(graph: Graph) -> Graph:
    """The worst edge by size of score first: the largest size less the edge's own."""
    sizes = graph.require_scores().abs()
    return graph.scored(sizes.amax() - sizes)


@torch.no_grad()
def score_by_weights(model: GlassTransformer, graph: Graph) -> Graph:
    """How strongly weights alone connect source and destination; no image is run.

    The Frobenius norm of what the source writes with times what the destination reads with: `W_O`
    of a head or `W_out` of an MLP (for `input` the identity) times `W_Q`, `W_K` or `W_V` of a head
    or `W_in` of an MLP (for `logits` `W_U`, or the identity where no one matrix reads the stream),
    with the gain of the norm in front folded in, and the mean taken off where that norm does so.
    Blind to how large what is read really is.
    """
    graph.require_model(model)
    writers = torch.stack([each.T @ each for each in _writing(model)])
    columns = [
        torch.einsum("smn,mn->s", writers, each @ each.T).clamp_min(0).sqrt()
        for each in _reading(model)
    ]
    scores = torch.stack(columns, 1).cpu()
    return graph.scored(scores.expand(graph.possible.shape))


def _writing(model: GlassTransformer) -> list[Float[Tensor, "_ d_model"]]:
    like = model.placement
    written = [torch.eye(model.cfg.d_model, dtype=like.dtype, device=like.device)]
    for block in model.blocks:
        written += list(block.attn.W_O)
        written += [] if block.mlp is None else [block.mlp.W_out]
    return written


def _reading(model: GlassTransformer) -> list[Float[Tensor, "d_model _"]]:
    read = []
    for block in model.blocks:
        for letter in "qkv":
            read += [_behind(block.ln1, each) for each in block.attn.weight(letter)]
        if block.mlp is not None:
            norm = block.ln1 if block.parallel else block.part("ln2")
            read.append(_behind(norm, _behind(block.mlp.in_norm, _into(block.mlp))))
    head = model.head.linear
    plain = head is None or head.in_features != model.cfg.d_model or model.pooling.map is not None
    like = model.placement
    each = torch.eye(model.cfg.d_model, dtype=like.dtype, device=like.device)
    matrix = each if plain or head is None else head.weight.T
    norm = model.ln_final if model.cfg.d_pooled == model.cfg.d_model else None
    return [*read, _behind(norm, matrix)]


def _into(mlp: MLP) -> Float[Tensor, "d_model _"]:
    if mlp.fc_linear is None:
        return mlp.W_in
    return torch.cat([mlp.W_in, mlp.fc_linear.weight.T], 1)


def _behind(norm: Norm | None, matrix: Float[Tensor, "d_model _"]) -> Float[Tensor, "d_model _"]:
    """A matrix that reads what a norm gives, as one that reads what goes into it."""
    if norm is None:
        return matrix
    return norm.transposed(matrix.T, matrix.new_ones(1)).T
