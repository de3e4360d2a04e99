"""Direct logit shares: a target as an exact sum over the components that wrote it."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.models import (
    AttentionNames,
    HookedViT,
    StreamRows,
    Target,
    TransformerCache,
    as_numbers,
)

By = Literal["layer", "head"]


class _Component(NamedTuple):
    """One row: where it comes from, and its share for each image."""

    label: str
    kind: str
    layer: int
    head: int
    share: Float[Tensor, " batch"]


def direct_logit_shares(
    model: HookedViT,
    images: Float[Tensor, "batch *frames channels rows columns"],
    target: Target | Any,
    *,
    by: By = "layer",
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """Splits a target into one additive share per component.

    Exact: the final norm is frozen at the scale that it had in the run, and pooling is linear, so
    the shares, bias included, add up to the target. It says who *wrote* the target directly; what
    a component causes through later ones is a matter for interventions.

    Args:
        model: Any `HookedViT` that pools.
        images: Preprocessed images.
        target: From `model.target(...)`, or what that takes.
        by: `"layer"` splits into embedding, positions, attention and MLP of every block, and bias;
            `"head"` splits attention further into heads.
        cache: A run on these images to read instead of running the model.

    Returns:
        Shares in units of the output (logits), dimensions `image, component`; positive speaks for
        the target. Coordinates of `component` are `kind, layer, head, source, neuron`, -1 where
        there is none. `attrs["residual"]` is the largest `|sum of shares - target|` over images.

    Raises:
        ValueError: A target that isn't linear in the output, or an unknown `by`.
        HookError: A run in which hooks replaced the stream, so that no sum exists.

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021, "Logit
        attribution". Departs from it: a final norm is kept, frozen, and each component is centered
        by its own mean; biases of heads, norm and head are one row of their own, an MLP's bias
        belongs to its MLP.
    """
    if by not in ("layer", "head"):
        raise ValueError(f"`by` must be 'layer' or 'head'; got {by!r}. Pass one of them.")
    target = model.target(target)
    with torch.no_grad():
        if cache is None:
            cache = model.run_with_cache(images)[1]
        if by == "head":
            StreamRows(cache, "readout").require_heads()
        components = list(_components(target, by, cache))
        value = target(cache["hook_post_head_pre_normalize"])
    return _labeled(components, value, target, by)


def head_shares(
    z: Float[Tensor, "batch tokens heads d_head"],
    W_O: Float[Tensor, "heads d_head d_model"],
    weights: Float[Tensor, "batch tokens d_model"],
) -> Float[Tensor, "batch heads"]:
    """What each head of a block says through a readout, without forming what it wrote."""
    read = torch.einsum("btm,hdm->bthd", weights, W_O)
    return (z * read).sum((1, 3))


def shares_grid(shares: xarray.DataArray, kind: str = "head") -> xarray.DataArray:
    """Shares of one kind as a dense table: `image, layer, head` for heads, else `image, layer`.

    Args:
        shares: From `direct_logit_shares`.
        kind: `"head"`, `"attn"` or `"mlp"`; of attentions over time `"head_time"`, `"attn_time"`.
    """
    chosen = shares.where(shares["kind"] == kind, drop=True)
    if not chosen.sizes["component"]:
        kinds = ", ".join(dict.fromkeys(shares["kind"].values.tolist()))
        raise ValueError(f"`kind` must be one of {kinds}; got {kind!r}. Pass one of them.")
    layers = np.unique(chosen["layer"].values)
    sizes = (shares.sizes["image"], len(layers))
    if kind != "head":
        return xarray.DataArray(
            chosen.values.reshape(sizes), dims=("image", "layer"), coords={"layer": layers}
        )
    heads = np.unique(chosen["head"].values)
    return xarray.DataArray(
        chosen.values.reshape(*sizes, len(heads)),
        dims=("image", "layer", "head"),
        coords={"layer": layers, "head": heads},
    )


def _components(target: Target, by: By, cache: TransformerCache) -> Iterator[_Component]:
    readout = target.readout(cache)
    weights = readout.weights[:, cache.layout.select("readout")]
    rows = cache.layer_rows(positions="readout")
    shares = {label: (row * weights).sum((1, 2)) for label, row in rows.items()}
    bias = shares.pop("bias") + readout.constant
    parts = StreamRows(cache, "readout")
    for label, share in shares.items():
        layer, _, kind = label.partition("_")
        if not layer.isdigit():
            yield _Component(label, label, -1, -1, share)
        elif kind == "mlp_out" or by == "layer":
            label = f"L{layer}{'T' if kind == 'attn_time_out' else kind[0].upper()}"
            yield _Component(label, kind[:-4], int(layer), -1, share)
        else:
            [names] = [each for each in parts.attentions if each.adds == f"hook_{kind}"]
            yield from _heads(parts, int(layer), names, weights)
            bias = bias + (weights * parts.attention_bias(int(layer), names)).sum((1, 2))
    yield _Component("bias", "bias", -1, -1, bias)


def _heads(
    parts: StreamRows,
    layer: int,
    names: AttentionNames,
    weights: Float[Tensor, "batch positions d_model"],
) -> Iterator[_Component]:
    """At the tokens that are read; from `hook_result` where a hook replaced that."""
    attn = parts.attention(layer, names)
    is_edited = f"blocks.{layer}.{names.attn}.hook_result" in parts.run.edited
    if is_edited or attn.norms_of_output:
        shares = (parts.head_results(layer, names) * weights[:, :, None]).sum((1, 3))
    else:
        shares = head_shares(parts.head_inputs(layer, names), attn.W_O, weights)
    kind = names.attn.replace("attn", "head")
    for head, share in enumerate(shares.T):
        yield _Component(f"L{layer}{names.letter}{head}", kind, layer, head, share)


def _labeled(
    components: list[_Component], value: Tensor, target: Target, by: By
) -> xarray.DataArray:
    shares = torch.stack([component.share for component in components], dim=1)
    residual = (shares.sum(1) - value).abs().max().item()
    absent = [-1] * len(components)
    columns = {name: [getattr(c, name) for c in components] for name in ("kind", "layer", "head")}
    columns |= {"source": absent, "neuron": absent}
    return xarray.DataArray(
        as_numbers(shares),
        dims=("image", "component"),
        coords={"component": [component.label for component in components]}
        | {name: ("component", column) for name, column in columns.items()}
        | {"target": ("image", as_numbers(value))},
        name="share",
        attrs={"target_name": target.name, "by": by, "residual": residual, "unit": "logit"},
    )
