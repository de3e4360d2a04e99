"""Which heads read what which others write, by weights alone."""

from typing import Literal

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.decomposition._head_weights import HeadReads, head_reads
from vitreous.decomposition._runs import Model
from vitreous.models import FactoredMatrix, as_numbers, image_tower

Composition = Literal["Q", "K", "V"]


def composition_scores(model: Model, kind: Composition = "V") -> xarray.DataArray:
    """How much of what an earlier head writes a later one reads.

    `|OV R| / (|OV| |R|)` in Frobenius norms, `OV` of the earlier head and `R` what the later one
    reads with: `W_Q W_K.T` for its queries, the transpose of it for its keys, `W_V W_O` for its
    values. Norms in front of heads are folded in, biases and MLPs between left out. Compare it with
    `attrs["baseline"]`: the root of its mean square if the streams of both heads were turned
    against one another at random, one over the root of `d_model` whatever the matrices are.

    Args:
        model: Any `HookedViT`, or a model of images and texts, whose image tower it is.
        kind: Which input of the later head.

    Returns:
        `[layer_from, head_from, layer, head]`, between 0 and 1; NaN where the second head isn't
        later. With attention divided over time and space, heads over space.

    Raises:
        ValueError: There is no such matrix: a norm around `W_O`; for `"Q"` and `"K"`, queries and
            keys that are normalized or turned.

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021, "Two-layer
        attention-only transformers" (its composition scores, and their baseline of random
        matrices, here in closed form). Departs from it: norms are folded in.
    """
    if kind not in ("Q", "K", "V"):
        raise ValueError(f"`kind` must be 'Q', 'K' or 'V'; got {kind!r}. Pass one of them.")
    tower = image_tower(model)
    for block in tower.blocks:
        _ = block.attn.OV if kind == "V" else (block.attn.OV, block.attn.QK)  # may raise
    layers = [head_reads(tower, layer) for layer in range(tower.cfg.n_layers)]
    n_layers, n_heads = tower.cfg.n_layers, tower.cfg.n_heads
    scores = torch.full((n_layers, n_heads, n_layers, n_heads), torch.nan, dtype=torch.float64)
    for first in range(n_layers):
        for later in range(first + 1, n_layers):
            found = composed(layers[first].OV, _read_with(layers[later], kind))
            scores[first, :, later] = found.to(scores)
    places = {"layer": range(n_layers), "head": range(n_heads)}
    return xarray.DataArray(
        as_numbers(scores),
        dims=("layer_from", "head_from", "layer", "head"),
        coords={f"{name}_from": place for name, place in places.items()} | places,
        name="composition",
        attrs={"kind": kind, "baseline": tower.cfg.d_model**-0.5},
    )


def composed(first: FactoredMatrix, later: FactoredMatrix) -> Float[Tensor, "heads _"]:
    """`|first @ later| / (|first| |later|)` for all pairs of heads; no large matrix is formed."""
    middle = torch.einsum("adm,bme->abde", first.B, later.A)
    left = first.A.transpose(-1, -2) @ first.A
    right = later.B @ later.B.transpose(-1, -2)
    squares = torch.einsum("ade,abef,bfg,abdg->ab", left, middle, right, middle)
    return squares.clamp_min(0).sqrt() / (first.norm()[:, None] * later.norm())


def _read_with(reads: HeadReads, kind: Composition) -> FactoredMatrix:
    if kind == "V":
        return reads.OV
    return reads.QK if kind == "Q" else reads.QK.T
