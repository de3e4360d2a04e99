"""A region filled in from what is around it."""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vitreous._optional import needs
from vitreous.data._pixel_forms import (
    Masks,
    PixelForm,
    Pixels,
    as_masks,
    as_pixels,
    require_outside,
)

InpaintMethod = Literal["telea", "navier-stokes"]
_FLAGS = {"telea": "INPAINT_TELEA", "navier-stokes": "INPAINT_NS"}


def inpaint_region(
    images: Pixels, masks: Masks, *, method: InpaintMethod = "telea", radius: float = 3
) -> Pixels:
    """Fills a region from its edge inward, with OpenCV.

    Good for regions that are thin or stand on something smooth; a large one becomes a smear. What
    of the object lies just outside of the mask is drawn into it, so let the mask be a little wide.

    Args:
        images: One picture or several, in any of the forms of `Pixels`. Those on a model's scale
            are filled in 256 levels between the picture's lowest and highest number.
        masks: The region, in the forms of `Masks`.
        method: How.
        radius: How far around a pixel the algorithm looks, in pixels.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region.

    Raises:
        ValueError: A mask that doesn't fit, is empty or covers everything, or an unknown method.
        MissingDependencyError: OpenCV isn't installed.

    References:
        Telea, "An Image Inpainting Technique Based on the Fast Marching Method", 2004; Bertalmio,
        Bertozzi and Sapiro, "Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting", 2001.
    """
    form = as_pixels(images)
    where = as_masks(masks, form)
    return form.with_numbers(inpainted(form, where, method, radius), where)


def inpainted(
    form: PixelForm, where: Bool[Tensor, "batch rows columns"], method: str, radius: float = 3
) -> Float[Tensor, "batch channels rows columns"]:
    """The numbers of pictures with a region filled in."""
    if method not in _FLAGS:
        raise ValueError(
            f"`method` must be one of {', '.join(_FLAGS)}; got {method!r}. Choose one of them."
        )
    if not 0 < radius < float("inf"):
        raise ValueError(f"`radius` must be positive; got {radius}. Try 3.")
    cv2 = needs("cv2", extra="corrupt", feature="inpaint_region")
    require_outside(where, "to fill the region from")
    low, step = _levels_of(form, where)
    # OpenCV adds half a level and more to what it fills in: it must have levels of 0..255, and
    # 8 bits, or that becomes a stain which grows inward.
    levels = ((form.numbers - low) / step).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    flag, masks = getattr(cv2, _FLAGS[method]), where.cpu().numpy().astype(np.uint8)
    filled = [_filled(cv2, *each, radius, flag) for each in zip(levels, masks, strict=True)]
    return torch.from_numpy(np.stack(filled)).to(form.numbers) * step + low


def _levels_of(
    form: PixelForm, where: Bool[Tensor, "batch rows columns"]
) -> tuple[Float[Tensor, "#batch 1 1 1"], Float[Tensor, "#batch 1 1 1"]]:
    """The number that is level 0, and the step to the next level."""
    numbers = form.numbers
    if not form.values.is_floating_point():
        return numbers.new_zeros(1, 1, 1, 1), numbers.new_ones(1, 1, 1, 1)
    seen = torch.where(where[:, None], torch.nan, numbers).flatten(1)
    low, high = (
        torch.where(seen.isnan(), other, seen).amin(1) * sign
        for other, seen, sign in ((torch.inf, seen, 1), (torch.inf, -seen, -1))
    )
    step = ((high - low) / 255).clamp(min=torch.finfo(numbers.dtype).tiny)
    return low[:, None, None, None], step[:, None, None, None]


def _filled(
    cv2: Any,
    levels: UInt8[np.ndarray, "channels rows columns"],
    mask: UInt8[np.ndarray, "rows columns"],
    radius: float,
    flag: int,
) -> UInt8[np.ndarray, "channels rows columns"]:
    """Channel by channel, which is the same as three at once and takes any number of them."""
    return np.stack([cv2.inpaint(channel, mask, radius, flag) for channel in levels])
