"""What a training makes small."""

from collections.abc import Callable
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.data import Batch
from vitreous.models import HookedViT

Loss = Callable[[nn.Module, Batch], Float[Tensor, ""]]
"""Runs the model on a batch, which lies on its device, and says how bad it is: the mean over the
batch. It must call the model itself, not its parts, or several processes don't learn together."""


def cross_entropy(model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """Of the labels under the model's logits, in nats."""
    if batch.labels is None:
        raise ValueError("`images` must have labels to train on; got none. Pass `labels=`.")
    return functional.cross_entropy(model(batch.pixels), batch.labels)


def cross_entropy_with_patches(model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """Of the labels, and of every patch that is asked for something itself, in nats.

    A patch token is read as the class token is, by the same norm and head, and what it should say
    is the value of the label map in the middle of the patch; -1 asks for nothing. Where a label
    follows from several patches, this tells many tokens what to find out, long before the class
    token could gather it. Summed over a picture, so that each question counts the same.

    Args:
        model: A `HookedViT` with a class token.
        batch: With labels, and with label maps.

    Raises:
        ValueError: The pictures lack labels or label maps.
    """
    if batch.labels is None or batch.masks is None:
        missing = "labels" if batch.labels is None else "label maps"
        raise ValueError(
            f"`images` must have labels and label maps to train on; got no {missing}. "
            "Pass pictures with both, and no augmentation, which drops label maps."
        )
    # Wrapped, where processes share a batch.
    glass = cast(HookedViT, getattr(model, "module", model))
    stream = model(batch.pixels, stop_at_layer=glass.cfg.n_layers)
    logits = glass.head([stream if glass.ln_final is None else glass.ln_final(stream)])
    rows, columns = glass.cfg.patch_shape
    asked = batch.masks[:, rows // 2 :: rows, columns // 2 :: columns].flatten(1).long()
    patches = logits[:, glass.layout.select("patches")].transpose(1, 2)
    of_patches = functional.cross_entropy(patches, asked, ignore_index=-1, reduction="none")
    return functional.cross_entropy(logits[:, 0], batch.labels) + of_patches.sum(1).mean()
