"""Where the activations of clean images lie."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitreous._optional import needs
from vitreous.data import Images
from vitreous.models import HookedViT, TransformerCache, require_finite, stream

_FEWEST = 8
_AT_ONCE = 64


@dataclass(frozen=True)
class CleanActivations:
    """Where the activations of clean images lie, layer by layer.

    Of each image and layer there is one vector: the residual stream behind the layer's block, mean
    over the tokens of `positions`. Half of the images say where clean data lie (mean and shrunken
    covariance); the other half, which had no part in that, how far clean data are from there.

    Attributes:
        model: Whose activations.
        layers: Behind which blocks.
        positions: Tokens over which the stream is averaged.
        location: Mean vectors.
        precision: Inverses of the shrunken covariances.
        shrinkage: How much of each covariance gave way to a multiple of the identity, in 0..1.
        typical_norm: Mean norm of the vectors.
        clean: Distances and norm ratios of the images that were held out, `[2, images, layers]`.
        n_fitted: How many images say where clean data lie.
    """

    model: HookedViT
    layers: tuple[int, ...]
    positions: Any
    location: Float[np.ndarray, "layers d_model"]
    precision: Float[np.ndarray, "layers d_model d_model"]
    shrinkage: Float[np.ndarray, " layers"]
    typical_norm: Float[np.ndarray, " layers"]
    clean: Float[np.ndarray, "2 images layers"]
    n_fitted: int

    @classmethod
    def of(
        cls,
        model: HookedViT,
        images: Float[Tensor, "batch *frames channels rows columns"] | Images,
        *,
        layers: Sequence[int] | None = None,
        positions: Any = "readout",
        seed: int = 0,
    ) -> "CleanActivations":
        """Looks at clean images in one pass, batch by batch; keeps one vector per layer of each.

        Args:
            model: Any `HookedViT`.
            images: Clean images: at least 8, and better several times the width of the stream.
            layers: Behind which blocks; None means all.
            positions: Tokens, as `model.layout.select` takes them: `"readout"` is the class token
                or what else the head reads.
            seed: Says which half is held out.

        Raises:
            ValueError: Too few images, a layer that isn't there, or one at which no image
                differs.
            MissingDependencyError: scikit-learn isn't installed.
        """
        covariance = needs(
            "sklearn.covariance", extra="ml", feature="vitreous.patching.CleanActivations"
        )
        chosen = _chosen(model, layers)
        vectors = np.concatenate([*streamed_vectors(model, images, chosen, positions)])
        if len(vectors) < _FEWEST:
            raise ValueError(
                f"`images` must be at least {_FEWEST} clean images; got {len(vectors)}. "
                "Pass some hundreds."
            )
        order = np.random.default_rng(seed).permutation(len(vectors))
        fitted, held_out = (vectors[rows] for rows in np.array_split(order, 2))
        _require_spread(fitted, chosen, positions)
        fits = [covariance.LedoitWolf().fit(fitted[:, i]) for i in range(len(chosen))]
        location, precision, shrinkage = (
            np.stack([getattr(fit, name) for fit in fits])
            for name in ("location_", "precision_", "shrinkage_")
        )
        norms = np.linalg.norm(fitted, axis=-1).mean(0)
        clean = np.stack([distances(held_out, location, precision), norm_ratios(held_out, norms)])
        return cls(
            model, chosen, positions, location, precision, shrinkage, norms, clean, len(fitted)
        )


def distances(
    vectors: Float[np.ndarray, "images layers d_model"],
    location: Float[np.ndarray, "layers d_model"],
    precision: Float[np.ndarray, "layers d_model d_model"],
) -> Float[np.ndarray, "images layers"]:
    """Mahalanobis distances: standard deviations from the mean."""
    off = vectors - location
    return np.sqrt(np.einsum("ild,lde,ile->il", off, precision, off, optimize=True).clip(min=0))


def norm_ratios(
    vectors: Float[np.ndarray, "images layers d_model"], typical: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, "images layers"]:
    """Norms in units of the mean norm of clean images."""
    return np.linalg.norm(vectors, axis=-1) / typical


def streamed_vectors(
    model: HookedViT, images: Any, layers: tuple[int, ...], positions: Any
) -> Iterator[Float[np.ndarray, "images layers d_model"]]:
    for start, batch in _batches(model, images):
        names = [f"blocks.{layer}.hook_resid_post" for layer in layers]
        with torch.no_grad():
            _, cache = model.run_with_cache(
                batch, names_filter=names, return_type=None, start_at_layer=start
            )
        yield vectors_of(cache, layers, positions)


def _batches(model: HookedViT, images: Any) -> Iterator[tuple[int | None, Tensor]]:
    """Images, or a stream that enters the first block, with the layer to start at."""
    if isinstance(images, Tensor) and images.ndim == 3:
        yield from ((0, each.to(model.placement)) for each in images.split(_AT_ONCE))
    else:
        yield from ((None, batch.pixels) for batch in stream(model, images))


def vectors_of(
    cache: TransformerCache, layers: tuple[int, ...], positions: Any
) -> Float[np.ndarray, "images layers d_model"]:
    means = []
    for layer in layers:
        name = f"blocks.{layer}.hook_resid_post"
        values = require_finite(cache.at(name, positions), name)
        means.append(values.detach().double().mean(1).cpu().numpy())
    return np.stack(means, axis=1)


def _chosen(model: HookedViT, layers: Sequence[int] | None) -> tuple[int, ...]:
    there = range(model.cfg.n_layers)
    if layers is not None and (not layers or any(layer not in there for layer in layers)):
        raise ValueError(
            f"`layers` must name some in 0..{len(there) - 1}; got {list(layers)}. "
            "Leave it out for all."
        )
    return tuple(there if layers is None else layers)


def _require_spread(
    vectors: Float[np.ndarray, "images layers d_model"], layers: tuple[int, ...], positions: Any
) -> None:
    still = [layer for i, layer in enumerate(layers) if not vectors[:, i].std(0).any()]
    if still:
        raise ValueError(
            f"Clean images must differ at every layer; got {len(vectors)} equal vectors at layer "
            f"{still[0]}, positions {positions!r}. Pass other images, or other positions."
        )
