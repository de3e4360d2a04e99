"""What a training makes small."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.data import Batch

Loss = Callable[[nn.Module, Batch], Float[Tensor, ""]]
"""Runs the model on a batch, which lies on its device, and says how bad it is: the mean over the
batch. It must call the model itself, not its parts, or several processes don't learn together."""


def cross_entropy(model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """Of the labels under the model's logits, in nats."""
    if batch.labels is None:
        raise ValueError("`images` must have labels to train on; got none. Pass `labels=`.")
    return functional.cross_entropy(model(batch.pixels), batch.labels)
