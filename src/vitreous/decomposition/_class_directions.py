"""Where classes lie in the stream, and what stands between the stream and weights."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitreous.decomposition._runs import Model
from vitreous.models import HookedViT, Norm, ZeroShotClassifier, image_tower, label_names


class ClassDirections(NamedTuple):
    """How classes, or texts, are read from the stream.

    Attributes:
        names: What they are called.
        rows: What reads each from the stream, in units of the output at scale one of the last norm.
    """

    names: list[str]
    rows: Float[Tensor, "labels d_model"]

    @property
    def unit(self) -> Float[Tensor, "labels d_model"]:
        """The same as vectors of length one, which stand for the classes in the stream."""
        return functional.normalize(self.rows, dim=-1)


def class_directions(
    model: Model,
    bank: Float[Tensor, "texts d_embed"] | None,
    texts: Sequence[str] | None,
) -> ClassDirections:
    """Those of a head's classes, of a zero-shot classifier's, or of a bank of texts.

    Raises:
        ValueError: The model's head has no single direction per class, or the bank another width.
    """
    tower = image_tower(model)
    _ = tower.target(0).direction  # raises, with the reason, where there is none
    if bank is None and isinstance(model, ZeroShotClassifier):
        bank, texts = model.weights, texts or list(model.labels or ()) or None
    head, norm = tower.head.linear, tower.ln_final
    rows = torch.eye(tower.n_outputs).to(tower.placement)
    names = label_names(tower) or [f"output {place}" for place in range(tower.n_outputs)]
    if bank is not None:
        _require_width(bank, texts, tower.n_outputs)
        rows = bank.detach().to(tower.placement)
        names = list(texts) if texts is not None else [f"text {i}" for i in range(len(bank))]
    rows = wide(rows)
    rows = rows if head is None else rows @ wide(head.weight)
    return ClassDirections(names, in_front_of(norm, rows))


def in_front_of(
    norm: Norm | None, directions: Float[Tensor, "*batch width"]
) -> Float[Tensor, "*batch width"]:
    """What reads behind a norm as what reads in front of it, at scale one."""
    if norm is None:
        return directions
    return wide(norm.transposed(directions.detach(), directions.new_ones(1)))


def wide(weight: Tensor) -> Tensor:
    """Weights without gradient, in float32 at least."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def chosen_layers(model: HookedViT, layer: int | None) -> list[int]:
    """All layers, or the one that is meant."""
    n_layers = model.cfg.n_layers
    if layer is None:
        return list(range(n_layers))
    if not -n_layers <= layer < n_layers:
        raise ValueError(f"`layer` must lie in 0..{n_layers - 1}; got {layer}. Choose another.")
    return [layer % n_layers]


def _require_width(bank: Tensor, texts: Sequence[str] | None, width: int) -> None:
    if bank.ndim != 2 or not len(bank) or bank.shape[1] != width:
        raise ValueError(
            f"`bank` must hold one row of width {width} per text; got shape {list(bank.shape)}. "
            "Embed texts with this model."
        )
    if texts is not None and len(texts) != len(bank):
        raise ValueError(
            f"`texts` must name every row of the bank; got {len(texts)} for {len(bank)}. "
            "Pass both of the same texts."
        )
