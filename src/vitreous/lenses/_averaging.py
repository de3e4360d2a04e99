"""Jacobians of the end of a model by the streams of all its layers, averaged over a data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.lenses._groups import tokens_of
from vitreous.models import HookedViT, TokenLayout, frozen, require_finite, stream


@dataclass(frozen=True)
class Averages:
    """What a Jacobian lens is made of; see there."""

    jacobians: dict[str, Tensor]
    stream_means: dict[str, Tensor]
    final_mean: Tensor


def averaged_jacobians(
    model: HookedViT,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    groups: Iterable[str],
    to: Any,
    batch_size: int,
) -> Averages:
    """Sums in float64, batch by batch."""
    groups, n_layers, d_model = tuple(groups), model.cfg.n_layers, model.cfg.d_model

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=model.placement.device)

    jacobians = {group: zeros(n_layers, d_model, d_model) for group in groups}
    means = {group: zeros(n_layers, d_model) for group in groups}
    final = zeros(d_model)
    with frozen(model):
        for batch in stream(model, images, batch_size=batch_size):
            layout = model.layout_for(batch.pixels)
            tokens = tokens_of(layout, groups)
            streams = streams_of(model, batch.pixels, layout)
            end = streams[-1][:, layout.select(to)].mean(1)
            final += require_finite(end.detach(), "the last stream").double().sum(0)
            for group, chosen in tokens.items():
                for layer, resid in enumerate(streams[:-1]):
                    means[group][layer] += resid.detach()[:, chosen].double().mean(1).sum(0)
            for row, of_layers in enumerate(_rows(end, streams[:-1])):
                for group, chosen in tokens.items():
                    jacobians[group][:, row] += of_layers[:, chosen].sum(1)
    kept = torch.promote_types(model.placement.dtype, torch.float32)

    def averaged(sums: Tensor) -> Tensor:
        return (sums / len(images)).to(kept)

    return Averages(
        {group: averaged(each) for group, each in jacobians.items()},
        {group: averaged(each) for group, each in means.items()},
        averaged(final),
    )


def streams_of(
    model: HookedViT, images: Tensor, layout: TokenLayout
) -> list[Float[Tensor, "batch tokens d_model"]]:
    """The stream at the embedding and behind each block, each made of the one before."""
    with torch.no_grad():
        first = model(images, stop_at_layer=0)
    streams = [first.requires_grad_()]
    for layer in range(model.cfg.n_layers):
        where = {"start_at_layer": layer, "stop_at_layer": layer + 1, "layout": layout}
        streams.append(model(streams[-1], **where))
    return streams


def _rows(
    end: Float[Tensor, "batch d_model"], streams: list[Tensor]
) -> Iterable[Float[Tensor, "layers tokens d_model"]]:
    """For each entry of `end`, its gradient by the streams, summed over images."""
    for entry in end.sum(0):
        gradients = torch.autograd.grad(entry, streams, retain_graph=True)
        yield torch.stack([gradient.sum(0) for gradient in gradients]).double()
