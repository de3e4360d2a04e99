"""What can stand in the place of a region of a picture: its mean, a blur, noise, other pixels."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vitreous.data._pixel_forms import (
    Masks,
    PixelForm,
    Pixels,
    as_masks,
    as_pixels,
    require_outside,
)


def mean_region(
    images: Pixels,
    masks: Masks,
    *,
    of: Literal["outside", "picture"] | Sequence[float] = "outside",
) -> Pixels:
    """Paints a region in one color.

    Nothing of the region is left but its outline, which still tells what was there.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        masks: The region, in the forms of `Masks`.
        of: Whose mean color: of the pixels outside of the region, or of the whole picture; or a
            color, one number per channel on the scale of `images` (0 is the mean color of the
            training data where those are what a model takes).

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region.

    Raises:
        ValueError: A mask that doesn't fit, is empty, or leaves nothing to take the mean of.
    """
    form = as_pixels(images)
    where = as_masks(masks, form)
    return form.with_numbers(_color(form, where, of).expand(form.values.shape), where)


def blur_region(images: Pixels, masks: Masks, *, sigma: float) -> Pixels:
    """Blurs a region by a Gaussian filter; beyond the edge of the picture, its edge goes on.

    What is near the region blurs into it. Large shapes and mean colors stay: a model may still
    know what is there, so look at the result.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        masks: The region, in the forms of `Masks`.
        sigma: Standard deviation of the filter in pixels; it reaches four of them.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region.

    Raises:
        ValueError: A mask that doesn't fit or is empty, or a `sigma` that isn't positive.
    """
    if not 0 < sigma < float("inf"):
        raise ValueError(f"`sigma` must be positive; got {sigma}. Try an eighth of the region.")
    form = as_pixels(images)
    where = as_masks(masks, form)
    return form.with_numbers(_blurred(form.numbers, sigma), where)


def noise_region(images: Pixels, masks: Masks, *, seed: int, strength: float = 1.0) -> Pixels:
    """Replaces a region by Gaussian noise, every pixel and channel for itself.

    Its mean is the picture's own in each channel, and so is its standard deviation where
    `strength` is 1. The noise of a picture is a function of the seed and its place in the batch.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        masks: The region, in the forms of `Masks`.
        seed: Another seed, other noise.
        strength: Standard deviation of the noise as a multiple of the picture's.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region; levels of
        0..255 are cut off at their ends.

    Raises:
        ValueError: A mask that doesn't fit or is empty, or a negative `strength`.

    References:
        Meng et al., "Locating and Editing Factual Associations in GPT", 2022, section 2.1 (noise as
        the corrupt run). Departs from it: noise is in pixels, of a region, and replaces them.
    """
    if not 0 <= strength < float("inf"):
        raise ValueError(f"`strength` must be at least 0; got {strength}. Try 1.")
    form = as_pixels(images)
    where, numbers = as_masks(masks, form), form.numbers
    drawn = [_chance(seed, i).standard_normal(x.shape) for i, x in enumerate(numbers)]
    noise = torch.from_numpy(np.stack(drawn)).to(numbers)
    std = numbers.std((-2, -1), correction=0, keepdim=True)
    mean = numbers.mean((-2, -1), keepdim=True)
    return form.with_numbers(mean + strength * std * noise, where)


def resample_region(
    images: Pixels, masks: Masks, others: Pixels | None = None, *, seed: int
) -> Pixels:
    """Replaces a region by what another picture shows at the same place.

    The pixels are natural ones, the seam isn't; and the other picture may show what the first one
    did.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        masks: The region, in the forms of `Masks`.
        others: Pictures of the same form and size to draw from, each time anew; None means the
            other pictures of `images`, in random order, each once.
        seed: Says who gets whose pixels.

    Returns:
        The pictures in the form that came, bit for bit the same outside of the region.

    Raises:
        ValueError: A mask that doesn't fit or is empty, others of another size, or none at all.
    """
    form = as_pixels(images)
    where = as_masks(masks, form)
    source = form if others is None else as_pixels(others, "others")
    _require_alike(form, source)
    chosen = _whose(len(form.values), None if others is None else len(source.values), seed)
    return form.with_numbers(source.numbers[chosen].to(form.values.device), where)


def single_cycle(count: int, chance: np.random.Generator) -> list[int]:
    """A random permutation without a place that keeps what it has.

    References:
        Sattolo, "An algorithm to generate a random cyclic permutation", 1986.
    """
    order = list(range(count))
    for last in range(count - 1, 0, -1):
        other = int(chance.integers(last))
        order[last], order[other] = order[other], order[last]
    return order


def _color(
    form: PixelForm, where: Bool[Tensor, "batch rows columns"], of: str | Sequence[float]
) -> Float[Tensor, "#batch channels 1 1"]:
    numbers, n_channels = form.numbers, form.values.shape[1]
    if of == "picture":
        return numbers.mean((-2, -1), keepdim=True)
    if of == "outside":
        require_outside(where, "to take the mean of")
        kept = ~where[:, None]
        # Masked before the sum: a NaN or infinity in the region is no part of the mean outside.
        return torch.where(kept, numbers, 0).sum((-2, -1), keepdim=True) / kept.sum(
            (-2, -1), keepdim=True
        )
    if isinstance(of, str) or len(of) != n_channels:
        raise ValueError(
            f"`of` must be 'outside', 'picture' or {n_channels} numbers, one per channel; got "
            f"{of!r}. Pass one of them."
        )
    return torch.tensor(list(of)).to(numbers)[None, :, None, None]


def _blurred(
    numbers: Float[Tensor, "batch channels rows columns"], sigma: float
) -> Float[Tensor, "batch channels rows columns"]:
    reach = max(1, round(4 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-(steps**2) / (2 * sigma**2)).exp()
    kernel = (weights / weights.sum()).to(numbers)[None, None]
    for dim in (-2, -1):
        lines = numbers.movedim(dim, -1)
        flat = functional.pad(lines.flatten(0, -2)[:, None], (reach, reach), mode="replicate")
        numbers = functional.conv1d(flat, kernel).view(lines.shape).movedim(-1, dim)
    return numbers


def _chance(seed: int, image: int) -> np.random.Generator:
    return np.random.default_rng([seed, image])


def _whose(n_images: int, n_others: int | None, seed: int) -> list[int]:
    chance = np.random.default_rng(seed)
    if n_others is not None:
        return [int(chance.integers(n_others)) for _ in range(n_images)]
    if n_images < 2:
        raise ValueError(
            "`others` must be given where there is but one picture; got none. "
            "Pass pictures to take the region from."
        )
    return single_cycle(n_images, chance)


def _require_alike(form: PixelForm, other: PixelForm) -> None:
    expected, got = (x.values.shape[1:] for x in (form, other))
    if expected != got or form.values.dtype != other.values.dtype:
        raise ValueError(
            f"`others` must be {form.values.dtype} {list(expected)} (channels, rows, columns) as "
            f"`images` are; got {other.values.dtype} {list(got)}. Prepare both in one way."
        )
