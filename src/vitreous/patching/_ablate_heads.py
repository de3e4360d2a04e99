"""What happens to a target when one head says what it says on average."""

from collections.abc import Sequence
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Ablate, Batched, Means, Site
from vitreous.models import HookedViT, Target, TransformerCache, as_numbers
from vitreous.training import means


def ablate_heads(
    model: HookedViT,
    images: Float[Tensor, "batch *frames channels rows columns"],
    target: Target | Any,
    *,
    layers: Sequence[int] | None = None,
    reference: Means | Images | Tensor | None = None,
    cache: TransformerCache | None = None,
    max_batch: int = 64,
) -> xarray.Dataset:
    """Replaces the output of each head, one at a time, by its mean, at all positions.

    Restarts at the layer of the ablated head from the recorded run, with the heads of a layer
    stacked along the batch; equal to one hooked forward pass per head.

    Args:
        model: Any `HookedViT`.
        images: Preprocessed images.
        target: From `model.target(...)`, or what that takes.
        layers: Whose heads; None means every layer's.
        reference: Whose mean: `Means` of `hook_z`, or images to take them of. None means those
            that the model carries, and without those the mean over `images` and their tokens.
        cache: A run on these images to read instead of running the model.
        max_batch: The most rows that run at once.

    Returns:
        `effect[image, layer, head]` = target(ablated) - target(baseline), in units of the output:
        negative where the head spoke for the target; and `baseline[image]`.
        `attrs["reference"]` says whose mean it was.

    Raises:
        ValueError: A layer that isn't there.
        UnknownNameError: Means that were not taken at every layer's `hook_z`.

    References:
        Wang et al., "Interpretability in the Wild", 2022, section 2.1 (mean ablation). Departs
        from it: the mean is over a data set of images, by position where the means are.
    """
    target, layers = model.target(target), _chosen(model, layers)
    with torch.no_grad():
        if cache is None:
            cache = model.run_with_cache(images)[1]
        baseline = target(cache["hook_post_head_pre_normalize"])
        reference = _reference(model, reference, cache)
        values = [_ablated(model, target, layer, reference, cache, max_batch) for layer in layers]
    effect = torch.stack(values, dim=1) - baseline[:, None, None]
    return xarray.Dataset(
        {
            "effect": (("image", "layer", "head"), as_numbers(effect)),
            "baseline": ("image", as_numbers(baseline)),
        },
        coords={"layer": layers, "head": list(range(model.cfg.n_heads))},
        attrs={"target_name": target.name, "reference": reference.description, "unit": "logit"},
    )


def _chosen(model: HookedViT, layers: Sequence[int] | None) -> list[int]:
    there = range(model.cfg.n_layers)
    wrong = [layer for layer in layers or () if layer not in there]
    if wrong or (layers is not None and not layers):
        raise ValueError(
            f"`layers` must name some in 0..{len(there) - 1}; got {list(layers or ())}. "
            "Leave it out for all."
        )
    return list(there if layers is None else layers)


def _reference(
    model: HookedViT, reference: Means | Images | Tensor | None, cache: TransformerCache
) -> Means:
    if isinstance(reference, Means):
        return reference
    if reference is not None:
        return means(model, reference, "blocks.*.attn.hook_z")
    return _own_means(model, cache) if model.means is None else model.means


def _own_means(model: HookedViT, cache: TransformerCache) -> Means:
    """Each head's mean over the tokens of the run itself: all there is without a reference."""
    points = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    n_images = len(cache[points[0]])
    own = "this image's" if n_images == 1 else f"these {n_images} images'"
    return Means(
        values={name: cache[name].mean((0, 1)) for name in points},
        by=None,
        axes={name: model.axes(name) for name in points},
        count=n_images,
        description=f"the mean over {own} own tokens (no reference was given)",
    )


def _ablated(
    model: HookedViT,
    target: Target,
    layer: int,
    reference: Means,
    cache: TransformerCache,
    max_batch: int,
) -> Float[Tensor, "batch heads"]:
    """The target with each head of one layer ablated."""
    name, resid = f"blocks.{layer}.attn.hook_z", cache["resid_pre", layer]
    n_images, heads = len(resid), list(range(model.cfg.n_heads))
    at_once = max(1, max_batch // n_images)
    values = []
    for start in range(0, len(heads), at_once):
        chunk = heads[start : start + at_once]
        edits = Batched.of([Ablate(Site(name, head=h), "mean", reference) for h in chunk])
        with model.intervene(edits):
            logits = model(resid.repeat(len(chunk), 1, 1), start_at_layer=layer)
        values.append(target(logits.view(-1, logits.shape[-1])).view(len(chunk), n_images))
    return torch.cat(values).T
