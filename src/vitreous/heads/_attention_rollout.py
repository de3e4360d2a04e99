"""Attention rollout: what attention of all layers, one after the other, carries where."""

from collections.abc import Iterator
from typing import Literal

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    TransformerCache,
    as_numbers,
    image_tower,
    require_finite,
    stream,
)

Fuse = Literal["mean", "max", "min"]


def attention_rollout(
    model: HookedViT | HookedCLIP,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    heads: Fuse = "mean",
    residual: float = 0.5,
    discard: float = 0.0,
    start_layer: int = 0,
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """Multiplies the attention of all layers, with the residual connection mixed in.

    A heuristic: it knows nothing of values, MLPs and norms, and is the same for every class. For
    what a token really wrote into a logit, use `direct_logit_shares`.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant. Where attention is divided over time and space, both are multiplied in.
        images: Preprocessed images, or `vt.data.Images`.
        heads: How the heads of a layer become one pattern, whose rows are then scaled to one.
        residual: The part of what a token has that comes from itself, in 0..1.
        discard: The part of the keys, those with the least attention, that each query forgets.
        start_layer: The first block that counts.
        cache: A run on these images to read instead of running the model.

    Returns:
        `[image, query, key]`: how much of what stands at a query behind the last block came from
        which token in front of the first. Rows sum to one.

    Raises:
        ValueError: No images, an option that can't be, or a pattern that isn't finite.

    References:
        Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, section 3, "Attention
        rollout". Departs from it: heads may be fused by maximum or minimum, and keys discarded, as
        is common practice. A fused pattern is scaled before the residual is mixed in, so that this
        always has the weight it should; keys are discarded query by query, in every image, the
        class token too.
    """
    model = image_tower(model)
    _require_options(heads, residual, discard, start_layer, model.cfg.n_layers)
    names = [
        f"blocks.{layer}.{each.attn}.hook_pattern"
        for layer in range(start_layer, model.cfg.n_layers)
        for each in model.blocks[layer].attentions
    ]
    with torch.no_grad():
        runs = [cache] if cache is not None else _runs(model, images, names)
        rolled, tokens = [], []
        for run in runs:
            patterns = (require_finite(run.at(name), name) for name in names)
            fused = (fuse(each, heads, discard) for each in patterns)
            rolled.append(roll_out(fused, residual))
            tokens = run.layout.names()
    return xarray.DataArray(
        as_numbers(torch.cat(rolled)),
        dims=("image", "query", "key"),
        coords={"query": tokens, "key": tokens},
        name="rollout",
        attrs={"heads": heads, "residual": residual, "discard": discard},
    )


def roll_out(
    patterns: Iterator[Float[Tensor, "batch queries keys"]], residual: float
) -> Float[Tensor, "batch queries keys"]:
    """The product of patterns in forward order, the last one on the left, each with its residual.

    A row of zeros, of a query that attends to nothing, leaves the token what it is.
    """
    rolled = None
    for pattern in patterns:
        own = torch.eye(pattern.shape[-1], dtype=pattern.dtype, device=pattern.device)
        mixed = _with_rows_of_one(residual * own + (1 - residual) * pattern, own)
        rolled = mixed if rolled is None else mixed @ rolled
    assert rolled is not None
    return rolled


def fuse(
    pattern: Float[Tensor, "batch heads queries keys"], heads: Fuse, discard: float
) -> Float[Tensor, "batch queries keys"]:
    """One pattern of all heads, without its weakest keys; rows sum to one, or are zero."""
    pattern = pattern.to(torch.promote_types(pattern.dtype, torch.float32))
    fused = {"mean": pattern.mean, "max": pattern.amax, "min": pattern.amin}[heads](1)
    n_discarded = int(discard * fused.shape[-1])
    if n_discarded:
        weakest = fused.sort(dim=-1, stable=True).indices[..., :n_discarded]
        fused = fused.scatter(-1, weakest, 0)
    return _with_rows_of_one(fused, torch.zeros_like(fused))


def _with_rows_of_one(x: Tensor, otherwise: Tensor) -> Tensor:
    total = x.sum(-1, keepdim=True)
    return torch.where(total > 0, x / total, otherwise)


def _runs(
    model: HookedViT, images: Tensor | Images, names: list[str]
) -> Iterator[TransformerCache]:
    """Runs batch by batch; patterns are derived when they are asked for, and not kept."""
    points = [
        name.replace("hook_pattern", f"hook_{letter}") for name in names for letter in ("q", "k")
    ]
    for batch in stream(model, images):
        yield model.run_with_cache(batch.pixels, names_filter=points, return_type=None)[1]


def _require_options(
    heads: str, residual: float, discard: float, start_layer: int, n_layers: int
) -> None:
    if heads not in ("mean", "max", "min"):
        raise ValueError(f"`heads` must be 'mean', 'max' or 'min'; got {heads!r}. Pass one.")
    if not 0 <= residual <= 1:
        raise ValueError(f"`residual` must lie in 0..1; got {residual}. 0.5 is usual.")
    if not 0 <= discard < 1:
        raise ValueError(f"`discard` must lie in 0..1, below 1; got {discard}. Pass 0 for none.")
    if not 0 <= start_layer < n_layers:
        raise ValueError(
            f"`start_layer` must lie in 0..{n_layers - 1}; got {start_layer}. Choose another."
        )
