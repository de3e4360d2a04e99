"""Pictures and masks in the forms that people have them in, as tensors; and back again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from PIL import Image
from torch import Tensor

from vitreous._errors import ImageError
from vitreous.data._files import to_eight_bit

Pixels = TypeVar("Pixels", Image.Image, np.ndarray, Tensor)
"""One picture or several: a Pillow image; a uint8 array [rows, columns], [rows, columns, channels]
or [images, rows, columns, channels]; or a tensor [*images, channels, rows, columns] of uint8 or of
what a model takes."""

Masks = Image.Image | np.ndarray | Tensor
"""Bool [rows, columns], the same for all pictures, or [*images, rows, columns]; or a Pillow image
that is white where the mask is."""


@dataclass(frozen=True)
class PixelForm:
    """Pictures as one batch, and the way back to the form that they came in.

    Attributes:
        values: Levels of 0..255 as uint8, or floating-point numbers on a model's scale.
        given_back: From such a batch to the form that came.
        leading: Sizes of the dimensions in front of the channels that were made one.
    """

    values: Shaped[Tensor, "batch channels rows columns"]
    given_back: Callable[[Tensor], Any]
    leading: tuple[int, ...]

    @property
    def numbers(self) -> Shaped[Tensor, "batch channels rows columns"]:
        """The values in a precision to compute in."""
        wide = self.values.dtype == torch.float64
        return self.values if wide else self.values.float()

    def with_numbers(self, numbers: Tensor, where: Bool[Tensor, "batch rows columns"]) -> Any:
        """The pictures with such numbers in the mask, all else bit for bit as it came."""
        if not self.values.is_floating_point():
            numbers = numbers.round().clamp(0, 255)
        changed = numbers.to(self.values.dtype)
        return self.given_back(torch.where(where[:, None], changed, self.values))


def as_pixels(images: Any, name: str = "images") -> PixelForm:
    """Any of the forms of pictures as one batch.

    Raises:
        ImageError: It is none of them.
    """
    if isinstance(images, Image.Image):
        form = as_pixels(np.asarray(to_eight_bit(images)), name)
        return PixelForm(form.values, lambda x: Image.fromarray(form.given_back(x)), ())
    if isinstance(images, np.ndarray):
        return _of_array(images, name)
    if isinstance(images, Tensor):
        return _of_tensor(images, name)
    raise ImageError(
        f"`{name}` must be a Pillow image, a uint8 array or a tensor; got "
        f"{type(images).__name__}. Open a file with `vt.data.open_image`."
    )


def as_masks(
    masks: Any, form: PixelForm, name: str = "masks"
) -> Bool[Tensor, "batch rows columns"]:
    """A mask for each picture, each with a pixel in it.

    Raises:
        ValueError: They are of another type or shape, or one is empty.
    """
    if isinstance(masks, Image.Image):
        masks = np.asarray(masks.convert("L")) >= 128
    own = masks if isinstance(masks, Tensor) else torch.tensor(masks)
    count, _, *size = form.values.shape
    if own.dtype != torch.bool or list(own.shape) not in (size, [*form.leading, *size]):
        several = f" or [{', '.join(map(str, [*form.leading, *size]))}]" if form.leading else ""
        raise ValueError(
            f"`{name}` must be bool and as large as the pictures, [{size[0]}, {size[1]}]{several}; "
            f"got {str(own.dtype).removeprefix('torch.')} {list(own.shape)}. "
            "Compare with a threshold, or resize it."
        )
    own = own.to(form.values.device).expand(*form.leading, *size).reshape(count, *size)
    empty = (~own.flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"`{name}` must mark a pixel of every picture; got none in picture {empty[0]}. "
            "Leave that picture out."
        )
    return own


def require_outside(masks: Bool[Tensor, "batch rows columns"], what: str) -> None:
    """Raises `ValueError` where a mask leaves nothing of a picture."""
    full = masks.flatten(1).all(1).nonzero().flatten().tolist()
    if full:
        raise ValueError(
            f"`masks` must leave a pixel, {what}; got a mask over all of picture {full[0]}. "
            "Mark less of it."
        )


def _of_array(array: np.ndarray, name: str) -> PixelForm:
    gray = array.ndim == 2
    if (
        array.dtype != np.uint8
        or not (gray or (array.ndim in (3, 4) and array.shape[-1] in (1, 3)))
        or 0 in array.shape
    ):
        raise ImageError(
            f"`{name}` must be uint8 [rows, columns], [rows, columns, 1 or 3] or [images, rows, "
            f"columns, 1 or 3]; got {array.dtype} {list(array.shape)}. "
            "Convert it with Pillow, or pass a tensor."
        )
    last = array[..., None] if gray else array
    values = torch.tensor(last).movedim(-1, -3)  # a copy: Pillow's arrays can't be written to
    leading = tuple(last.shape[:-3])

    def back(x: Tensor) -> np.ndarray:
        shaped = x.cpu().reshape(values.shape).movedim(-3, -1).contiguous().numpy()
        return shaped[..., 0] if gray else shaped

    return PixelForm(values.reshape(-1, *values.shape[-3:]), back, leading)


def _of_tensor(tensor: Tensor, name: str) -> PixelForm:
    known = tensor.is_floating_point() or tensor.dtype == torch.uint8
    if not known or tensor.ndim < 3 or tensor.numel() == 0:
        raise ImageError(
            f"`{name}` must be [images, channels, rows, columns] with uint8 levels or what "
            f"`model.preprocess` gives; got {str(tensor.dtype).removeprefix('torch.')} "
            f"{list(tensor.shape)}. Prepare it with `model.preprocess(image)`."
        )
    values = tensor.reshape(-1, *tensor.shape[-3:])
    return PixelForm(values, lambda x: x.reshape(tensor.shape), tuple(tensor.shape[:-3]))
