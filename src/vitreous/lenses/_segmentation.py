"""Maps of classes, one for each patch."""

import numpy as np
import xarray
from jaxtyping import Int

from vitreous.lenses._labeled import classes_of


def segmentation(lens: xarray.Dataset, layer: int) -> xarray.DataArray:
    """The class that each patch puts first at a layer.

    Every patch names a class: a lens has no name for the background.

    Args:
        lens: From `logit_lens` or another lens, with all patches.
        layer: One of its layers; -1 is the embedding.

    Returns:
        Class indices `[image, row, column]` (of clips `[image, frame, row, column]`), whose names
        stand in `attrs["labels"]`.

    Raises:
        ValueError: A lens without all patches, or without that layer.
    """
    if layer not in lens["layer"]:
        raise ValueError(
            f"`layer` must be one of {lens['layer'].values.tolist()}; got {layer}. "
            "Read that layer too."
        )
    patches, grid = in_order(lens)
    said = said_first(patches.sel(layer=layer), "logit")
    dims = ("frame", "row", "column")[-len(grid) :]
    return xarray.DataArray(
        said.reshape(len(said), *grid),
        dims=("image", *dims),
        name="label",
        attrs={"layer": layer, "labels": lens.attrs["labels"]},
    )


def said_first(lens: xarray.Dataset, row: str) -> Int[np.ndarray, "..."]:
    """Indices of the classes on top of the rows of `"logit"`, or of the `"readout"`."""
    if "rank" in lens.dims:
        return lens["label" if row == "logit" else "readout_label"].isel(rank=0).to_numpy()
    return classes_of(lens)[lens[row].argmax("label").to_numpy()]


def in_order(lens: xarray.Dataset) -> tuple[xarray.Dataset, tuple[int, ...]]:
    """The patches of a lens in reading order, and their grid."""
    words = [word for word in ("frame", "row", "column") if word in lens.coords]
    if words:
        patches = lens.isel(token=(lens["row"] >= 0).to_numpy())
        places = [patches[word].to_numpy() for word in words]
        grid = tuple(lens.attrs["grid"][-len(words) :])
        flat = np.ravel_multi_index(places, grid)
        if np.array_equal(np.sort(flat), np.arange(np.prod(grid))):
            return patches.isel(token=np.argsort(flat)), grid
    raise ValueError(
        f"`lens` must hold each patch once; got {lens.sizes.get('token', 0)} tokens. Read it with "
        "positions='all' or 'patches'."
    )
