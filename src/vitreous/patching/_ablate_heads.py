"""What happens to a target when one head says what it says on average."""

from collections.abc import Sequence
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Means
from vitreous.models import HookedViT, Target, TransformerCache
from vitreous.patching._sweep import sweep


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

    A `sweep` over heads with intervention `"mean"`, in one batch of images.

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
    if cache is None:
        with torch.no_grad():
            cache = model.run_with_cache(images)[1]
    return sweep(
        model,
        images,
        None,
        target,
        intervention="mean",
        reference=reference,
        layers=layers,
        cache=cache,
        max_batch=max_batch,
    )
