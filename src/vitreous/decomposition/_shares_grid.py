"""Shares as dense tables, and summed to coarser ones."""

import numpy as np
import xarray

from vitreous.decomposition._share_rows import COORDINATES

_SOURCES = "_and_source"
# What finer rows are parts of, by their kind: the coarse kind, and its letter in labels.
_WHOLES = {
    "head": ("attn", "A"),
    "attn_bias": ("attn", "A"),
    "head_time": ("attn_time", "T"),
    "attn_time_bias": ("attn_time", "T"),
    "neuron": ("mlp", "M"),
    "mlp_bias": ("mlp", "M"),
}


def shares_grid(shares: xarray.DataArray, kind: str = "head") -> xarray.DataArray:
    """Shares of one kind as a dense table.

    Args:
        shares: From `direct_logit_shares`.
        kind: `"head"` for `image, layer, head` (sources are summed); `"head_and_source"` for
            `image, layer, head, row, column`, with `frame` in front of `row` in clips: what each
            head brought from each patch, without class and register tokens; `"neuron"` for
            `image, layer, neuron`; `"attn"` or `"mlp"` for `image, layer`. Of attentions over time
            `"head_time"`, `"head_time_and_source"` and `"attn_time"`.

    Returns:
        In the unit of the shares. Sum `"head_and_source"` over `layer` and `head` for the heat map
        of who told the readout what.

    Raises:
        ValueError: A kind that these shares weren't split into.
    """
    of_heads = kind.removesuffix(_SOURCES)
    chosen = shares.isel(component=np.flatnonzero(shares["kind"] == of_heads))
    has_sources = bool((chosen["source"] >= 0).any())
    if not chosen.sizes["component"] or (of_heads != kind and not has_sources):
        raise ValueError(
            f"`kind` must be one of {', '.join(_kinds(shares))}; got {kind!r}. "
            "Pass one of them, or split shares with another `by`."
        )
    axes = ["layer", *(each for each in ("head", "source", "neuron") if (chosen[each] >= 0).any())]
    places = {axis: np.unique(chosen[axis].values) for axis in axes}
    sizes = [len(place) for place in places.values()]
    table = xarray.DataArray(
        chosen.values.reshape(chosen.sizes["image"], *sizes),
        dims=("image", *axes),
        coords=places | _target_of(shares),
        name="share",
        attrs={
            name: shares.attrs[name] for name in ("target_name", "unit") if name in shares.attrs
        },
    )
    if not has_sources:
        return table
    return table.sum("source", keep_attrs=True) if of_heads == kind else _on_grid(table, shares)


def by_layer(shares: xarray.DataArray) -> xarray.DataArray:
    """Sums finer shares to those of `direct_logit_shares(..., by="layer")`.

    Heads, their sources and the output bias of an attention make the attention; neurons and the
    output bias of an MLP the MLP. Other rows stay.

    Args:
        shares: From `direct_logit_shares`, by anything.
    """
    kinds, layers = shares["kind"].values.tolist(), shares["layer"].values.tolist()
    fine = shares["component"].values.tolist()
    labels = [
        f"L{layer}{_WHOLES[kind][1]}" if kind in _WHOLES else label
        for label, kind, layer in zip(fine, kinds, layers, strict=True)
    ]
    first = list(dict.fromkeys(labels))
    starts = [labels.index(label) for label in first]
    columns = {
        "kind": [_WHOLES.get(kinds[i], (kinds[i], ""))[0] for i in starts],
        "layer": [layers[i] for i in starts],
    }
    columns |= {name: [-1] * len(first) for name in COORDINATES if name not in columns}
    place = {label: i for i, label in enumerate(first)}
    summed = np.zeros((shares.sizes["image"], len(first)), shares.dtype)
    np.add.at(summed.T, [place[label] for label in labels], shares.values.T)
    return xarray.DataArray(
        summed,
        dims=("image", "component"),
        coords={"component": first}
        | {name: ("component", column) for name, column in columns.items()}
        | _target_of(shares),
        name="share",
        attrs=shares.attrs | {"by": "layer"},
    )


def _target_of(shares: xarray.DataArray) -> dict[str, xarray.DataArray]:
    """What the shares add up to; differences of two have dropped it."""
    return {"target": shares["target"]} if "target" in shares.coords else {}


def _kinds(shares: xarray.DataArray) -> list[str]:
    kinds = dict.fromkeys(shares["kind"].values.tolist())
    split = dict.fromkeys(shares["kind"].values[shares["source"].values >= 0].tolist())
    return [*kinds, *(f"{kind}{_SOURCES}" for kind in split)]


def _on_grid(table: xarray.DataArray, shares: xarray.DataArray) -> xarray.DataArray:
    """Patches at their places."""
    frames, rows, columns = shares.attrs["grid"]
    places = ("frame", "row", "column")[frames == 1 :]
    patches = table.isel(source=slice(shares.attrs["n_prefix"], None))
    sizes = (frames, rows, columns)[frames == 1 :]
    return xarray.DataArray(
        patches.values.reshape(*patches.shape[:-1], *sizes),
        dims=(*patches.dims[:-1], *places),
        coords={name: table[name] for name in ("layer", "head")}
        | _target_of(table)
        | {name: range(size) for name, size in zip(places, sizes, strict=True)},
        name="share",
        attrs=table.attrs,
    )
