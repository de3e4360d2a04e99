"""Data sets, batch by batch, where a model is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitreous.data import Batch, Images

if TYPE_CHECKING:
    from vitreous.models._clip import HookedCLIP
    from vitreous.models._vit import HookedViT
    from vitreous.models._zero_shot import ZeroShotClassifier

_AT_ONCE = 64


def stream(
    model: "HookedViT", images: Tensor | Images, *, batch_size: int | None = None
) -> Iterator[Batch]:
    """Goes through a data set, on the model's device and in its precision.

    Args:
        model: Who is to see the images.
        images: Preprocessed images, or `vt.data.Images`, of which one batch is held at a time.
        batch_size: Images per batch; None means 64, or what the `Images` themselves say.

    Raises:
        ValueError: There are no images.
    """
    if not len(images):
        raise ValueError("`images` must hold an image; got none. Pass a data set with images.")
    if isinstance(images, Images):
        batches = iter(images if batch_size is None else images.batched(batch_size))
    else:
        batches = _cut(images, batch_size or _AT_ONCE)
    like = model.placement
    for batch in batches:
        given = (batch.labels, batch.masks)
        labels, masks = (x if x is None else x.to(like.device) for x in given)
        yield replace(batch, pixels=batch.pixels.to(like), labels=labels, masks=masks)


def image_tower(model: "HookedViT | HookedCLIP | ZeroShotClassifier") -> "HookedViT":
    """The glass transformer that sees the images: of a model of images and texts, one half."""
    return getattr(model, "image", model)  # pyright: ignore[reportReturnType]


def _cut(images: Tensor, size: int) -> Iterator[Batch]:
    for start in range(0, len(images), size):
        pixels = images[start : start + size]
        yield Batch(torch.arange(start, start + len(pixels)), pixels)
