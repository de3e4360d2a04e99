"""An object of one picture in the place of an object of another."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vitreous.data._inpainting import InpaintMethod, inpainted
from vitreous.data._pixel_forms import Masks, PixelForm, Pixels, as_masks, as_pixels

Box = tuple[int, int, int, int]


def swap_objects(
    images: Pixels,
    masks: Masks,
    others: Pixels,
    other_masks: Masks,
    *,
    method: InpaintMethod = "telea",
) -> Pixels:
    """Pastes the object of another picture over an object, whose own place is inpainted before.

    The other object is scaled to fit into the box around the first one, at the same ratio of its
    sides, and stands in the middle of it at the bottom. Light, shadows and what hides the first
    object are not adapted: it looks like a collage, and is one.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        masks: Their objects, in the forms of `Masks`.
        others: As many pictures of the same form, whose sizes may be others; or one for all.
        other_masks: The objects to paste.
        method: Of `inpaint_region`.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the box around the
        mask. An object pasted over itself gives the picture itself.

    Raises:
        ValueError: A mask that doesn't fit, is empty or covers everything, or another number of
            pictures or channels.
        MissingDependencyError: OpenCV isn't installed.
    """
    form, other = as_pixels(images), as_pixels(others, "others")
    where, objects = as_masks(masks, form), as_masks(other_masks, other, "other_masks")
    _require_partners(form, other)
    numbers = torch.where(where[:, None], inpainted(form, where, method), form.numbers)
    changed = where.clone()
    for i in range(len(numbers)):
        partner = i if len(other.values) > 1 else 0
        _paste(numbers[i], changed[i], where[i], other.numbers[partner], objects[partner])
    return form.with_numbers(numbers, changed)


def _paste(
    numbers: Float[Tensor, "channels rows columns"],
    changed: Bool[Tensor, "rows columns"],
    where: Bool[Tensor, "rows columns"],
    source: Float[Tensor, "channels _ _"],
    shape: Bool[Tensor, "_ _"],
) -> None:
    """Writes an object into the box around another one, and where it did so."""
    top, left, bottom, right = box_of(where)
    y0, x0, y1, x1 = box_of(shape)
    alpha = shape[y0:y1, x0:x1].to(numbers)[None]
    # Nothing of what is around the object comes along when it is scaled.
    painted = torch.where(alpha > 0, source[:, y0:y1, x0:x1].to(numbers), 0)
    size = _fitted((y1 - y0, x1 - x0), (bottom - top, right - left))
    if size != (y1 - y0, x1 - x0):
        alpha, painted = (
            functional.interpolate(
                x[None], size, mode="bilinear", antialias=True, align_corners=False
            )[0]
            for x in (alpha, painted)
        )
    first = left + (right - left - size[1]) // 2
    rows, columns = slice(bottom - size[0], bottom), slice(first, first + size[1])
    numbers[:, rows, columns] = numbers[:, rows, columns] * (1 - alpha) + painted
    changed[rows, columns] |= alpha[0] > 0


def box_of(mask: Bool[Tensor, "rows columns"]) -> Box:
    """First row and column of a mask, and those behind its last ones."""
    rows, columns = (mask.any(dim).nonzero().flatten().tolist() for dim in (1, 0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def _fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The largest size of these proportions that there is room for."""
    ratio = min(room[0] / size[0], room[1] / size[1])
    rows, columns = (
        max(1, min(limit, round(side * ratio))) for side, limit in zip(size, room, strict=True)
    )
    return rows, columns


def _require_partners(form: PixelForm, other: PixelForm) -> None:
    expected, got = ((x.values.shape[1], x.values.dtype, len(x.values)) for x in (form, other))
    if expected[:2] != got[:2] or got[2] not in (1, expected[2]):
        raise ValueError(
            f"`others` must be one picture or {expected[2]}, {expected[1]} of {expected[0]} "
            f"channels as `images` are; got {got[2]}, {got[1]} of {got[0]}. Prepare both alike."
        )
