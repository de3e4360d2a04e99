"""How far from clean data a run is: the first question to any corruption."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.models import HookedViT, TransformerCache
from vitreous.patching._clean_activations import (
    CleanActivations,
    distances,
    norm_ratios,
    streamed_vectors,
    vectors_of,
)

QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}


def manifold_distance(
    model: HookedViT,
    reference: CleanActivations | Images | Tensor,
    images: Tensor | Images | None = None,
    *,
    layers: Sequence[int] | None = None,
    positions: Any = "readout",
    cache: TransformerCache | None = None,
) -> xarray.Dataset:
    """How far from clean data the activations of images are, layer by layer.

    An intervention or a corruption may change an answer because it removes a cause, or because the
    model has never been where it is sent. This measures the second: at each layer by one vector per
    image, the residual stream behind the block at the class token, or its mean over the tokens of
    `positions`.

    Two distances, each beside its values on clean images that were held out, which give the scale:
    the norm ratio sees only length. The Mahalanobis distance counts standard deviations along every
    direction, so it sees a small step into a direction along which clean data hardly vary. Both are
    blind to what lies within the ellipsoid of clean data and isn't clean: near doesn't mean on the
    manifold; far does mean off it. With few reference images the covariance is mostly shrunken to a
    multiple of the identity (`shrinkage` says how much), and thin directions look less thin.

    Args:
        model: Any `HookedViT`.
        reference: Clean images; or what `CleanActivations.of` made of them, for many calls.
        images: Corrupted images; or a stream `[images tokens d_model]` that enters the first block,
            as `without_tokens` gives.
        layers: Behind which blocks; None means all. Leave it out where `reference` has its own.
        positions: Tokens to average over. Leave it out where `reference` has its own.
        cache: A run to measure in place of `images`, such as one under interventions.

    Returns:
        `mahalanobis[image, layer]`, in standard deviations (around the square root of the stream's
        width for Gaussian data); `norm_ratio[image, layer]`, where 1 is the mean norm of clean
        images; `farther_than[image, layer]`, the part of held-out clean images whose Mahalanobis
        distance is smaller, in 0..1. Of those images `clean_mahalanobis_mean[layer]`, `_low`,
        `_median` and `_high` (5, 50 and 95 %), and the same of `clean_norm_ratio`;
        `shrinkage[layer]`.

    Raises:
        ValueError: Too few reference images, one that doesn't vary, another model's reference, or
            neither images nor a cache.
        MissingDependencyError: scikit-learn isn't installed.

    References:
        Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples", 2018,
        section 2.1 (Mahalanobis distance in activations); Ledoit and Wolf, "A Well-Conditioned
        Estimator for Large-Dimensional Covariance Matrices", 2004 (the shrinkage, by scikit-learn).
        Departs from Lee et al.: one Gaussian for all classes, no noise added to the input.
    """
    known = _fitted(model, reference, layers, positions)
    if (images is None) == (cache is None):
        given = "neither" if images is None else "both"
        raise ValueError(f"`images` or `cache` must be given, and one only; got {given}. Pass one.")
    if cache is not None:
        vectors = vectors_of(cache, known.layers, known.positions)
    else:
        vectors = np.concatenate([*streamed_vectors(model, images, known.layers, known.positions)])
    far = distances(vectors, known.location, known.precision)
    nearer = (known.clean[0][:, None] < far[None]).mean(0)
    return _labeled(known, far, norm_ratios(vectors, known.typical_norm), nearer)


def _fitted(
    model: HookedViT, reference: Any, layers: Sequence[int] | None, positions: Any
) -> CleanActivations:
    if not isinstance(reference, CleanActivations):
        return CleanActivations.of(model, reference, layers=layers, positions=positions)
    if reference.model is not model:
        raise ValueError(
            "`reference` must be of this model; got clean activations of another. "
            "Make them with `CleanActivations.of(model, images)`."
        )
    if layers is not None or not (isinstance(positions, str) and positions == "readout"):
        raise ValueError(
            "`layers` and `positions` must be left out where `reference` has its own; got "
            f"{layers} and {positions!r}. Pass them to `CleanActivations.of`."
        )
    return reference


def _labeled(
    known: CleanActivations,
    far: Float[np.ndarray, "images layers"],
    ratios: Float[np.ndarray, "images layers"],
    nearer: Float[np.ndarray, "images layers"],
) -> xarray.Dataset:
    per_image = ("image", "layer")
    found = {
        "mahalanobis": (per_image, far),
        "norm_ratio": (per_image, ratios),
        "farther_than": (per_image, nearer),
        "shrinkage": ("layer", known.shrinkage),
    }
    for name, clean in zip(("mahalanobis", "norm_ratio"), known.clean, strict=True):
        found[f"clean_{name}_mean"] = ("layer", clean.mean(0))
        for word, part in QUANTILES.items():
            found[f"clean_{name}_{word}"] = ("layer", np.quantile(clean, part, axis=0))
    return xarray.Dataset(
        found,
        coords={"layer": list(known.layers)},
        attrs={
            "positions": str(known.positions),
            "value": "residual stream behind the block, mean over the positions",
            "quantiles": ", ".join(f"{word} {part:.0%}" for word, part in QUANTILES.items()),
            "n_fitted": known.n_fitted,
            "n_held_out": known.clean.shape[1],
        },
    )
