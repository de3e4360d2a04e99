"""What pictures hold, patch by patch: objects, words, copies of one another."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.models import TokenLayout

_BACKGROUND, _WORDS = -1, -3


@dataclass(frozen=True)
class Pictures:
    """The pictures of a batch, as the scores see them.

    Attributes:
        layout: Where their patches are.
        pixels: What the model takes.
        masks: Label map per picture: -1 is background, -3 painted words, all else an object. Or
            bool: True is an object. None where nobody knows.
        identities: What each patch shows, as a number; negative where it shows nothing. None where
            pixels tell.
        tolerance: By how much pixels of copies may differ, root mean square.
    """

    layout: TokenLayout
    pixels: Float[Tensor, "batch *frames channels rows columns"]
    masks: Tensor | None = None
    identities: Int[Tensor, "batch patches"] | None = None
    tolerance: float = 0.0

    @cached_property
    def objects(self) -> Float[Tensor, "batch patches"] | None:
        """How much of each patch objects cover."""
        if self.masks is None:
            return None
        is_background = (self.masks == _BACKGROUND) | (self.masks == _WORDS)
        return self._coverage(self.masks if self.masks.dtype == torch.bool else ~is_background)

    @cached_property
    def words(self) -> Float[Tensor, "batch patches"] | None:
        """How much of each patch painted words cover."""
        return None if self.masks is None else self._coverage(self.masks == _WORDS)

    @cached_property
    def same(self) -> Bool[Tensor, "batch patches patches"]:
        """Whether two patches show the same; a patch that shows nothing isn't the same as itself.

        By pixels, patches show something when their standard deviation exceeds the tolerance.
        """
        if self.identities is not None:
            number = self.identities
            return (number[:, :, None] == number[:, None]) & (number >= 0)[:, :, None]
        patches = self._patches()
        deviation = patches - patches.mean(-1, keepdim=True)
        shows = deviation.square().mean((-2, -1)).sqrt() > self.tolerance
        flat = patches.flatten(2)
        # By way of a matrix product, the distance of a patch to its copy wouldn't be zero.
        exactly = "donot_use_mm_for_euclid_dist"
        gaps = torch.cdist(flat, flat, compute_mode=exactly) / flat.shape[-1] ** 0.5
        return (gaps <= self.tolerance) & shows[:, :, None] & shows[:, None]

    def _coverage(self, mask: Tensor) -> Float[Tensor, "batch patches"]:
        return self.layout.coverage(mask).flatten(1).to(self.pixels.dtype)

    def _patches(self) -> Float[Tensor, "batch patches channels pixels"]:
        frames, rows, columns = self.layout.grid
        height, width = self.layout.patch_size
        pixels = self.pixels if self.pixels.ndim == 5 else self.pixels[:, None]
        cut = pixels[..., : rows * height, : columns * width].float()
        cut = cut.unflatten(-1, (columns, width)).unflatten(-3, (rows, height))
        cut = cut.unflatten(1, (frames, self.layout.tubelet))
        # images, frames, tubelet, channels, rows, height, columns, width
        return cut.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(5).flatten(1, 3)
