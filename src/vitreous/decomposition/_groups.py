"""Accuracy by group: what an average hides."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Self

import torch
import xarray
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.decomposition._classes import Classifier, require_one_each, true_labels
from vitreous.decomposition._remove_heads import WithoutHeads
from vitreous.models import HookedViT, image_tower, stream


class Groups(NamedTuple):
    """Which images are of a kind.

    Attributes:
        names: Of the groups, in the order in which they come.
        of: The group of each image, as a number.
    """

    names: list[str]
    of: Int[Tensor, " images"]

    @classmethod
    def numbered(cls, groups: Sequence[Hashable] | Tensor, n_images: int) -> Self:
        """Groups of anything that can be told apart."""
        require_one_each("groups", groups, n_images)
        each = groups.tolist() if isinstance(groups, Tensor) else list(groups)
        places = {group: place for place, group in enumerate(dict.fromkeys(each))}
        return cls([_name(group) for group in places], torch.tensor([places[g] for g in each]))

    def mean(self, values: Float[Tensor, "*#batch images"]) -> Float[Tensor, "*#batch groups"]:
        """The mean of each group."""
        member = torch.nn.functional.one_hot(self.of, len(self.names)).to(values)
        return (values @ member) / member.sum(0)


def group_accuracies(
    model: Classifier | WithoutHeads,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    groups: Sequence[Hashable] | Int[Tensor, " images"],
    *,
    labels: Sequence[int] | Int[Tensor, " images"] | None = None,
) -> xarray.Dataset:
    """Counts right answers group by group, where a cue that misleads shows.

    Args:
        model: A `HookedViT` with a head, a `ZeroShotClassifier`, or one of them without heads.
        images: Preprocessed images, or `vt.data.Images`, which are streamed.
        groups: One entry per image; images that share it are a group. Usually pairs of label and
            cue: `list(zip(labels, cues))`.
        labels: The class of each image, where `images` don't carry it.

    Returns:
        `accuracy[group]`, `count[group]`, `correct[image]`; and without dimension `worst`, the
        accuracy of the worst group, and `average`, over images.

    Raises:
        ValueError: No images, no labels, or not one group per image.

    References:
        Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", 2020, section 2.
    """
    told = Groups.numbered(groups, len(images))
    require_one_each("labels", labels, len(images))
    correct = []
    for batch in stream(_tower(model), images):
        with torch.no_grad():
            answers = model(batch.pixels).argmax(-1)
        correct.append((answers == true_labels(labels, batch)).cpu())
    return table(torch.cat(correct), told)


def table(correct: Bool[Tensor, " images"], groups: Groups) -> xarray.Dataset:
    """Accuracies from what was right."""
    accuracy = groups.mean(correct.double())
    return xarray.Dataset(
        {
            "accuracy": ("group", accuracy.numpy()),
            "count": ("group", torch.bincount(groups.of).numpy()),
            "correct": ("image", correct.numpy()),
            "worst": accuracy.min().item(),
            "average": correct.double().mean().item(),
        },
        coords={"group": groups.names},
    )


def _name(group: Any) -> str:
    return " ".join(map(str, group)) if isinstance(group, tuple) else str(group)


def _tower(model: Classifier | WithoutHeads) -> HookedViT:
    return image_tower(model.model if isinstance(model, WithoutHeads) else model)
