"""The logit lens: every token at every layer, through the model's own norm and head."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.models import HookedViT, Norm, TransformerCache, as_numbers, label_names

At = Literal["pre", "mid", "post"]


def logit_lens(
    model: HookedViT,
    images: Float[Tensor, "batch *frames channels rows columns"],
    *,
    at: At = "post",
    layers: Sequence[int] | None = None,
    positions: Any = "all",
    cache: TransformerCache | None = None,
) -> xarray.DataArray:
    """Reads the residual stream of every layer as if it were the last one.

    Each token goes alone through the final norm, at its own scale, and through the head. At the
    last layer the class token's row is the model's output; under mean pooling behind the norm,
    the average over patches is. Patch tokens were never trained to be read by a head of the class
    token: what the lens says of them is a projection, not a prediction. Pooling by attention reads
    each token as if it were the only one; where class token and mean stand side by side, a token
    stands in both places.

    Args:
        model: A model with a head.
        images: Preprocessed images.
        at: Which stream of a block: before it, between attention and MLP, or after it.
        layers: Blocks to read; None means all and, with `at="post"`, the embedding as layer -1.
        positions: Tokens, as `TokenLayout.select` takes them.
        cache: A run on these images to read instead of running the model.

    Returns:
        Logits with dimensions `image, layer, token, label`; tokens and labels are named by
        coordinates.

    Raises:
        ValueError: A model without a head, or an unknown `at`.

    References:
        nostalgebraist, "Interpreting GPT: the logit lens", 2020. Departs from it: the norm's and
        the head's biases are kept, so that the last layer is the output. With a distillation
        token, patches and registers are read by the average of both heads.
    """
    if model.head.linear is None:
        raise ValueError(
            "`logit_lens` needs a model with a head; got one that returns features. "
            "Load a classifier."
        )
    names = _streams(model, at, layers)
    if cache is None:
        cache = _run(model, images, list(names.values()))
    tokens = cache.layout.select(positions)
    with torch.no_grad():
        logits = torch.stack([_lens(model, cache[name], tokens) for name in names.values()], dim=1)
    return xarray.DataArray(
        as_numbers(logits),
        dims=("image", "layer", "token", "label"),
        coords={
            "layer": list(names),
            "token": [cache.layout.names()[i] for i in tokens],
            "label": label_names(model),
        },
        name="logit",
        attrs={"at": at},
    )


def lens_logits(
    resid: Float[Tensor, "... d_pooled"],
    norm: Norm | None,
    weight: Float[Tensor, "labels d_pooled"],
    bias: Float[Tensor, " labels"] | None,
) -> Float[Tensor, "... labels"]:
    """Residuals (or what they were pooled to) through a norm, each at its own scale, and a head."""
    normalized = resid if norm is None else norm.fused(resid)
    return torch.nn.functional.linear(normalized, weight, bias)


def _lens(
    model: HookedViT, resid: Float[Tensor, "batch tokens d_model"], tokens: list[int]
) -> Float[Tensor, "batch positions labels"]:
    """Class token by its head, distillation token by its own, all others by the average."""
    before, behind = model.ln_final, None
    if not model.cfg.pooling.normalizes_tokens:
        before, behind = behind, before
    pooled = model.pooling.alone(resid if before is None else before.fused(resid))
    by_head = [
        lens_logits(pooled, behind, head.weight, head.bias)
        for head in (model.head.linear, model.head.distillation)
        if head is not None
    ]
    if len(by_head) == 1:
        return by_head[0][:, tokens]
    logits = (by_head[0] + by_head[1]) / 2
    for place, own in enumerate(by_head):
        logits[:, place] = own[:, place]
    return logits[:, tokens]


def _streams(model: HookedViT, at: str, layers: Sequence[int] | None) -> dict[int, str]:
    """The hook point to read for each layer."""
    if at not in ("pre", "mid", "post") or (at == "mid" and not model.cfg.has_resid_mid):
        known = "'pre', 'mid' or 'post'" if model.cfg.has_resid_mid else "'pre' or 'post'"
        raise ValueError(f"`at` must be {known} for this model; got {at!r}. Pass one of them.")
    n_layers = model.cfg.n_layers
    first = -1 if at == "post" else 0
    chosen = range(first, n_layers) if layers is None else layers
    for layer in chosen:
        if not first <= layer < n_layers:
            raise ValueError(
                f"`layers` must lie in {first}..{n_layers - 1}; got {layer}. Choose others."
            )
    return {
        layer: "blocks.0.hook_resid_pre" if layer == -1 else f"blocks.{layer}.hook_resid_{at}"
        for layer in chosen
    }


def _run(model: HookedViT, images: Tensor, names: list[str]) -> TransformerCache:
    with torch.no_grad():
        return model.run_with_cache(images, names_filter=names, return_type=None)[1]
