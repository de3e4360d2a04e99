"""From which layer each model of the terrarium knows what it sees: a part of `make grades`.

`python -m benchmarks.when_known FOLDER ...` reads models in folders, and records nothing.
"""

import sys
from typing import Any

import numpy as np
import xarray

from benchmarks._results import show, write
from benchmarks._spread import share_of
from benchmarks._zoo import KINDS, in_memory, models_of
from vitreous.lenses import when_known
from vitreous.terrarium import WORLD_KINDS, Task

# Whole turns, so that every kind is the main one equally often.
SCENES = 30 * len(WORLD_KINDS)
EXTREMES = 3


def main(folders: list[str]) -> None:
    """The class is the label, and what the model never says isn't known."""
    scenes = in_memory(Task("kinds", "test").images(count=SCENES))
    models = models_of(folders, KINDS)
    found = {name: when_known(model, scenes, of="label") for name, model in models.items()}
    title = f"The first layer from which the label stays on top, {SCENES} scenes of the test split"
    tables = {
        f"{title}: % of them by layer": [by_layer(name, each) for name, each in found.items()],
        f"{title}: mean layer of the kinds known first and last": [
            by_class(name, each) for name, each in found.items()
        ],
    }
    show(tables) if folders else write("when_known", tables, ("xarray",))


def by_layer(name: str, found: xarray.Dataset) -> dict[str, Any]:
    """Half the width of the 95 % interval of a share, drawn scene by scene, stands behind it."""
    first = found["known_from"].to_numpy()
    layers = {
        f"layer {layer}": share_of(first <= layer) if layer in found["layer"] else ""
        for layer in range(-1, 4)
    }
    return {"model": name, **layers, "never": share_of(np.isnan(first))}


def by_class(name: str, found: xarray.Dataset) -> dict[str, Any]:
    """Between them, how much of the spread over images is spread between kinds."""
    kinds = found.isel(label=np.argsort(found["mean"].to_numpy(), kind="stable"))
    kinds = kinds.isel(label=(kinds["known"] > 0).to_numpy())
    return {
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


if __name__ == "__main__":
    main(sys.argv[1:])
