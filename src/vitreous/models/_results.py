"""From tensors to the labeled results that a person reads."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from vitreous.models._vit import HookedViT


def as_numbers(values: Tensor) -> np.ndarray:
    """A tensor as a numpy array on the CPU; half precision, which numpy lacks, as float32."""
    return values.detach().cpu().to(torch.promote_types(values.dtype, torch.float32)).numpy()


def label_names(model: "HookedViT") -> list[str]:
    """What the outputs are called; `class 7` where nobody knows."""
    if model.labels is not None:
        return list(model.labels)
    return [f"class {label}" for label in range(model.cfg.n_classes or 0)]


def require_finite(values: Tensor, what: str) -> Tensor:
    """The values themselves, where all are numbers.

    Args:
        values: Activations or a result.
        what: What they are called in the message: a hook point, or "logits".

    Raises:
        ValueError: One of them is NaN or infinite.
    """
    wrong = int((~values.isfinite()).sum())
    if wrong:
        raise ValueError(
            f"`{what}` must be finite; got {wrong} of {values.numel()} values that are NaN or "
            "infinite. Check the weights and the images, or use a wider precision."
        )
    return values
