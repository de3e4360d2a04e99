"""The Dataset that every lens returns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from jaxtyping import Int
from torch import Tensor

from vitreous.models import TokenLayout, as_numbers


def labeled(
    values: dict[str, Tensor],
    layout: TokenLayout,
    layers: list[int],
    tokens: list[int] | None,
    names: Sequence[str],
    kept: Sequence[int],
    about: dict[str, Any],
) -> xarray.Dataset:
    """Names dimensions and coordinates.

    Args:
        values: Results `[image, layer, ...]` by name.
        layout: Where tokens are.
        layers: What was read.
        tokens: Which ones; None for none.
        names: Of all classes.
        kept: Which of them were read.
        about: At which stream, which lens, of what model, and how many classes were kept.
    """
    top = about.pop("top")
    about |= {"labels": list(names), "grid": list(layout.grid)}
    about["patch_size"] = [layout.tubelet, *layout.patch_size]
    coordinates: dict[str, Any] = {"layer": layers}
    if top is None:
        coordinates |= {"label": [names[i] for i in kept], "label_index": ("label", list(kept))}
    else:
        coordinates["rank"] = range(top)
    if tokens is not None:
        coordinates |= _places(layout, tokens)
    last = "label" if top is None else "rank"
    arrays = {name: (_dims(name, last), _numbers(each)) for name, each in values.items()}
    return xarray.Dataset(arrays, coordinates, about).set_coords({"true_label"} & arrays.keys())


def classes_of(lens: xarray.Dataset) -> Int[np.ndarray, " labels"]:
    """Indices of the classes from which the lens was read."""
    if "label_index" in lens.coords:
        return lens["label_index"].to_numpy()
    return np.arange(len(lens.attrs["labels"]))


def _dims(name: str, last: str) -> tuple[str, ...]:
    if name == "true_label":
        return ("image",)
    start = ("image", "layer") if name.startswith("readout") else ("image", "layer", "token")
    return start if name.endswith("log_partition") else (*start, last)


def _numbers(values: Tensor) -> np.ndarray:
    return as_numbers(values) if values.is_floating_point() else values.numpy()


def _places(layout: TokenLayout, tokens: list[int]) -> dict[str, Any]:
    """Names of tokens, and the row and column (and frame) of patches; -1 for all others."""
    places = np.full((layout.n_tokens, 3), -1)
    places[layout.n_prefix :] = np.stack(np.unravel_index(range(layout.n_patches), layout.grid), 1)
    named = {"token": [layout.names()[i] for i in tokens]}
    words = ["frame", "row", "column"] if layout.grid[0] > 1 else ["row", "column"]
    columns = places[tokens, 3 - len(words) :].T
    return named | {word: ("token", each) for word, each in zip(words, columns, strict=True)}
