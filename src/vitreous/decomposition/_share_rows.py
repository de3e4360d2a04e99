"""Rows of an exact sum, with what each is about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.models import as_numbers

COORDINATES = ("kind", "layer", "head", "source", "neuron")


@dataclass(frozen=True)
class ShareRows:
    """What one part of a model says, whole or split into rows.

    Attributes:
        share: What each row says for each image.
        labels: A name for each row.
        kind: What the rows are: `"mlp"`, `"head"`, `"bias"`, ...
        layer: The block, or -1.
        head: The head of each row; None where rows are no heads.
        source: The token that each row was brought from.
        neuron: The neuron of each row.
        weight: The part of what all parts share evenly, in one convention of centering; 0 for
            biases.
    """

    share: Float[Tensor, "batch components"]
    labels: Sequence[str]
    kind: str
    layer: int = -1
    head: Sequence[int] | None = None
    source: Sequence[int] | None = None
    neuron: Sequence[int] | None = None
    weight: float = 1.0

    def raised(self, whole: Float[Tensor, " batch"]) -> "ShareRows":
        """The same rows, with something added that is divided evenly among them."""
        return replace(self, share=self.share + whole[:, None] / len(self.labels))

    def column(self, name: str) -> list[Any]:
        """A coordinate of each row; -1 where there is none."""
        value = getattr(self, name)
        if value is None or isinstance(value, str | int):
            return [-1 if value is None else value] * len(self.labels)
        return list(value)


def row(
    label: str, share: Float[Tensor, " batch"], kind: str, layer: int = -1, *, weight: float = 1.0
) -> ShareRows:
    """One part, whole."""
    return ShareRows(share[:, None], [label], kind, layer, weight=weight)


def labeled(
    parts: Sequence[ShareRows],
    batches: Sequence[np.ndarray],
    attributes: dict[str, Any],
    values: np.ndarray,
) -> xarray.DataArray:
    """Shares of all batches as the result that a person reads.

    Args:
        parts: The rows of one batch; all have the same.
        batches: The shares of each batch.
        attributes: What holds for all of them.
        values: The target of each image.
    """
    columns = {name: [x for part in parts for x in part.column(name)] for name in COORDINATES}
    shares = np.concatenate(batches)
    residual = float(np.abs(shares.sum(1, dtype=np.float64) - values).max())
    return xarray.DataArray(
        shares,
        dims=("image", "component"),
        coords={"component": [label for part in parts for label in part.labels]}
        | {name: ("component", column) for name, column in columns.items()}
        | {"target": ("image", values)},
        name="share",
        attrs=attributes | {"residual": residual},
    )


def stacked(parts: Sequence[ShareRows]) -> np.ndarray:
    """The shares of one batch, `[images, components]`."""
    return as_numbers(torch.cat([part.share for part in parts], 1))
