"""What a classifier says of its outputs, and what is true of the images."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Batch
from vitreous.models import HookedViT, ZeroShotClassifier

Classifier = HookedViT | ZeroShotClassifier


def require_classes(model: Any) -> None:
    """Raises for a model of images and texts, whose outputs are no logits."""
    if not isinstance(model, Classifier):
        raise TypeError(
            f"`model` must have classes; got {type(model).__name__}. "
            "Pass a classifier, or `clip.zero_shot(names)`."
        )


def class_logits(
    model: Classifier, outputs: Float[Tensor, "*batch d_embed"]
) -> Float[Tensor, "*batch labels"]:
    """Logits of what comes out of the model's image tower, which may be embeddings."""
    if not isinstance(model, ZeroShotClassifier):
        return outputs
    return model.logits(outputs.flatten(0, -2)).unflatten(0, outputs.shape[:-1])


def true_labels(
    given: Sequence[int] | Int[Tensor, " images"] | None, batch: Batch
) -> Int[Tensor, " batch"]:
    """The labels of a batch: those given for the whole set, or those that its images carry."""
    if given is not None:
        return torch.as_tensor(given)[batch.index.cpu()].to(batch.pixels.device)
    if batch.labels is None:
        raise ValueError(
            "Accuracy needs the images' labels; got none. Pass `labels=`, or `vt.data.Images` "
            "with labels."
        )
    return batch.labels


def require_one_each(name: str, values: Sequence[Any] | Tensor | None, count: int) -> None:
    """Raises unless there is one entry per image."""
    if values is not None and len(values) != count:
        raise ValueError(
            f"`{name}` must have one entry per image, {count}; got {len(values)}. "
            "Check that both come from the same set."
        )
