"""What a model saw, as a picture."""

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from vitreous.data import Images
from vitreous.models import HookedViT, TokenLayout


def shown(
    model: HookedViT, x: Float[Tensor, "1 channels rows columns"], layout: TokenLayout
) -> UInt8[np.ndarray, "rows columns 3"]:
    """An input as a picture, cut to what the patches cover."""
    if model.preprocessing is not None:
        pixels = model.preprocessing.inverse(x)[0].cpu().numpy()
    else:
        spread = (x[0].float() - x.min()) / (x.max() - x.min()).clamp(min=1e-12)
        gray_or_color = spread if len(spread) == 3 else spread.mean(0).expand(3, -1, -1)
        pixels = (255 * gray_or_color).round().byte().permute(1, 2, 0).cpu().numpy()
    (_, rows, columns), (height, width) = layout.grid, layout.patch_size
    return pixels[: rows * height, : columns * width]


def one_of(
    model: HookedViT, images: Tensor | Images, place: int
) -> Float[Tensor, "1 channels rows columns"]:
    """One image of a data set, where the model is."""
    pixels = images[place].pixels if isinstance(images, Images) else images[place : place + 1]
    return pixels.to(model.placement)


def require_images(model: HookedViT, asking: str) -> None:
    """Raises for a model of clips, whose patches lie on more than one picture."""
    frames = model.layout.grid[0]
    if frames > 1:
        raise ValueError(
            f"`{asking}` shows patches on one picture; got a model of clips of {frames} frames. "
            "Use the methods in `vitreous.heads`, which take clips."
        )
