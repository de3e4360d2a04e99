"""From which layer each model of the terrarium knows what it sees."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray

from benchmarks._results import Rows
from benchmarks._spread import share_of
from vitreous.data import Images
from vitreous.lenses import when_known
from vitreous.models import HookedViT

EXTREMES = 3


def when_known_tables(models: Mapping[str, HookedViT], images: Images) -> dict[str, Rows]:
    """By model and by class; the class is the label, and what the model never says isn't known."""
    found = {name: when_known(model, images, of="label") for name, model in models.items()}
    title = f"When is it known? The first layer from which the label stays on top, {len(images)}"
    return {
        f"{title} scenes: % of them by layer": [
            by_layer(name, each) for name, each in found.items()
        ],
        f"{title} scenes: mean layer of the kinds known first and last": [
            row for name, each in found.items() for row in by_class(name, each)
        ],
    }


def by_layer(name: str, found: xarray.Dataset) -> dict[str, Any]:
    """Half the width of the 95 % interval of a share, drawn scene by scene, stands behind it."""
    first = found["known_from"].to_numpy()
    layers = {
        f"layer {layer}": share_of(first <= layer) if layer in found["layer"] else ""
        for layer in range(-1, 4)
    }
    return {"model": name, **layers, "never": share_of(np.isnan(first))}


def by_class(name: str, found: xarray.Dataset) -> Iterator[dict[str, Any]]:
    """Between them, how much of the spread over images is spread between kinds."""
    kinds = found.isel(label=np.argsort(found["mean"].to_numpy(), kind="stable"))
    kinds = kinds.isel(label=(kinds["known"] > 0).to_numpy())
    yield {
        "model": name,
        "first": said(kinds.isel(label=slice(None, EXTREMES))),
        "last": said(kinds.isel(label=slice(-EXTREMES, None))),
        "between kinds, % of the variance": f"{100 * between(found):.0f}",
    }


def between(found: xarray.Dataset) -> float:
    """Variance of the means of kinds over the variance of all images that are known."""
    kinds = found.isel(label=(found["known"] > 0).to_numpy())
    weights, means = kinds["known"].to_numpy(), kinds["mean"].to_numpy()
    middle = np.average(means, weights=weights)
    spread = np.nanvar(found["known_from"].to_numpy())
    return float(np.average((means - middle) ** 2, weights=weights) / spread) if spread else 0.0


def said(kinds: xarray.Dataset) -> str:
    named = zip(kinds["label"].values, kinds["mean"].values, kinds["std"].values, strict=True)
    return ", ".join(f"{label} {mean:.1f} ± {std:.1f}" for label, mean, std in named)
