"""Where a class is, by what each patch says for it."""

from typing import Any

import numpy as np
import torch
import xarray
from torch.nn import functional

from vitreous.decomposition._direct_logit_shares import direct_logit_shares
from vitreous.decomposition._runs import Model, Pixels, asked
from vitreous.decomposition._shares_grid import shares_grid
from vitreous.models import HookedCLIP, Target, TransformerCache, image_tower, stream

_BY = "head_and_source"
_AT_ONCE = 16
_MEAN = "mean"
_GRID = ("row", "column")


def zero_shot_segmentation(
    model: Model,
    images: Pixels,
    target: Target | Any,
    *,
    minus: Any = _MEAN,
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """Finds a class in images by what attention brought from each patch for it.

    A patch's score is its share of the target, summed over all heads: the rows of
    `direct_logit_shares(..., by="head_and_source")` with its token as their source. No mask was
    ever seen. What a head moved from a patch need not be what is in that patch, where earlier
    layers have mixed patches or keep something of their own there (registers take some of that).

    Args:
        model: Any `HookedViT` that pools, a `HookedCLIP` or a zero-shot classifier of one.
        images: Preprocessed images, or `vt.data.Images`, which are streamed.
        target: From `model.target(...)`, or what that takes; a list for another class per image.
        minus: What to subtract, in the same forms: by default the mean over all classes, which
            takes off what speaks for every class alike; None for nothing. A target that was made
            already stays as it is.
        cache: A run on these images to read instead of running the model.

    Returns:
        `[image, row, column]` on the grid of patches, in units of the output (logits), with `frame`
        in front of `row` in clips. Positive speaks for the class. `foreground` makes masks of it.

    Raises:
        ValueError: No classes to take the mean of, or a target that isn't linear in the output.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, section 4.3. Departs from it: any pooling and any classifier; each
        contribution is centered by its own mean.
    """
    question = _question(model, target, minus)
    if cache is not None:
        maps = [_map(direct_logit_shares(model, images, question, by=_BY, cache=cache))]
    else:
        # Shares by source are many: those of a batch become maps before the next one runs.
        batches = stream(image_tower(model), images, batch_size=_AT_ONCE)
        maps = [
            _map(direct_logit_shares(model, batch.pixels, question.of_images(batch.index), by=_BY))
            for batch in batches
        ]
    scores = xarray.concat(maps, "image")
    return scores.assign_attrs({"target_name": question.name, "unit": "logit"})


def foreground(
    scores: xarray.DataArray,
    *,
    threshold: float | None = None,
    size: tuple[int, int] | None = None,
) -> xarray.DataArray:
    """Masks from the scores of patches.

    Args:
        scores: From `zero_shot_segmentation`, or any `[..., row, column]`.
        threshold: What a score must exceed; None means the mean of its own map, as in the paper.
        size: Pixel rows and columns to which maps are scaled first, bilinearly; None leaves them on
            the grid.
    """
    values = torch.from_numpy(np.array(scores.values))
    if size is not None:
        values = functional.interpolate(values[None].flatten(0, -3)[:, None], size, mode="bilinear")
        values = values.view(*scores.shape[:-2], *size)
    least = values.mean((-2, -1), keepdim=True) if threshold is None else threshold
    places = {name: range(length) for name, length in zip(_GRID, values.shape[-2:], strict=True)}
    kept = {name: scores[name] for name in scores.coords if name not in _GRID}
    return xarray.DataArray(
        (values > least).numpy(), dims=scores.dims, coords=kept | places, name="foreground"
    )


def _question(model: Model, target: Target | Any, minus: Any) -> Target:
    if isinstance(target, Target) or minus is None:
        return asked(model, target)
    if not (isinstance(minus, str) and minus == _MEAN):
        return model.target(target, minus)
    if isinstance(model, HookedCLIP):
        raise ValueError(
            "Classes must be known to subtract their mean; got a model of images and texts. Pass "
            "`minus=` a tuple of texts, or use `clip.zero_shot(names)`."
        )
    alone = model.target(target)
    alone.on_outputs()  # raises for a function
    n = model.n_outputs
    evenly = torch.full((n,), 1 / n, dtype=torch.float64)
    return model.target(target, evenly, name=f"{alone.name} - mean of all")


def _map(shares: xarray.DataArray) -> xarray.DataArray:
    """What heads of all layers brought from each patch."""
    kinds = [kind for kind in ("head", "head_time") if kind in shares["kind"].values]
    grids = [shares_grid(shares, f"{kind}_and_source") for kind in kinds]
    return sum((grid.sum(("layer", "head")) for grid in grids[1:]), grids[0].sum(("layer", "head")))
