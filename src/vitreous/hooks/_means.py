"""Average activations: what mean ablation puts in place of a value."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import safetensors
from torch import Tensor

from vitreous._errors import unknown
from vitreous.hooks._cache import save_whole

MeansBy = Literal["label", "position"]


@dataclass(frozen=True)
class Means:
    """Average values at hook points, over a data set.

    Attributes:
        values: By hook name. Without `by`, averaged over images and tokens, so the shape is that
            of the point without those two dimensions; by `"position"`, tokens are kept; by
            `"label"`, a first dimension counts labels.
        by: What the average was kept apart by.
        axes: By hook name, what the dimensions of the point count.
        count: How many images went in.
        description: Whose mean it is, in words that a report prints.
    """

    values: dict[str, Tensor]
    by: MeansBy | None
    axes: dict[str, tuple[str, ...]]
    count: int
    description: str

    def at(self, name: str) -> Tensor:
        """The mean at a point, with a token dimension of one where tokens were averaged.

        Raises:
            UnknownNameError: No mean was taken at that point.
        """
        if name not in self.values:
            raise unknown(
                "mean", name, self.values, "Take it with `vt.means(model, images, sites)`."
            )
        value, axes = self.values[name], self.axes[name]
        if self.by == "position":
            return value
        kept_in_front = 1 if self.by == "label" else 0
        for word in ("token", "query"):
            if word in axes:
                value = value.unsqueeze(axes.index(word) - 1 + kept_in_front)
        return value

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the means as safetensors, whole or not at all."""
        about = {"by": self.by, "axes": self.axes, "count": self.count, "whose": self.description}
        tensors = {name: value.contiguous() for name, value in self.values.items()}
        save_whole(Path(path), tensors, {"means": json.dumps(about)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote."""
        with safetensors.safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            about = json.loads(file.metadata()["means"])
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        axes = {name: tuple(words) for name, words in about["axes"].items()}
        return cls(values, about["by"], axes, about["count"], about["whose"])
