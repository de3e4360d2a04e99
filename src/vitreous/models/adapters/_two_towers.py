"""What adapters of models with two towers share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vitreous._errors import UnsupportedModelError
from vitreous.models._clip import HookedCLIP
from vitreous.models._text import HookedTextTransformer
from vitreous.models._vit import HookedViT


@torch.no_grad()
def joined(
    image: HookedViT, text: HookedTextTransformer, log_scale: Tensor, bias: Tensor | None
) -> HookedCLIP:
    """Both towers in one model.

    Args:
        image: The image tower.
        text: The text tower.
        log_scale: The logarithm of the factor in front of the cosine, one number.
        bias: What is added to every logit, one number; None for nothing.
    """
    model = HookedCLIP(image, text, logit_bias=None if bias is None else 0.0)
    model.logit_scale.copy_(log_scale.reshape(()))
    if model.logit_bias is not None and bias is not None:
        model.logit_bias.copy_(bias.reshape(()))
    return model


@contextmanager
def offering(other: str | None) -> Iterator[None]:
    """Says of a refused tower that the other one may be had alone; None where it may not."""
    try:
        yield
    except UnsupportedModelError as error:
        if other is None:
            raise
        raise UnsupportedModelError(
            f"{error} For the {other} tower alone: `tower={other!r}`."
        ) from error
