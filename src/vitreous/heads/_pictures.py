"""What pictures hold, patch by patch: objects, words, copies of one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.data import Batch
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
        cut = pixels[..., : rows * height, : columns * width]
        cut = cut.to(torch.promote_types(cut.dtype, torch.float32))
        cut = cut.unflatten(-1, (columns, width)).unflatten(-3, (rows, height))
        cut = cut.unflatten(1, (frames, self.layout.tubelet))
        # images, frames, tubelet, channels, rows, height, columns, width
        return cut.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(5).flatten(1, 3)


@dataclass(frozen=True)
class Known:
    """What the caller knows of the images."""

    masks: Tensor | None
    identities: Tensor | None
    tolerance: float

    def pictures(self, layout: TokenLayout, batch: Batch) -> Pictures:
        """The pictures of a batch with what is known of them."""
        masks, identities = (
            each if each is None else each[batch.index.to(each.device)].to(batch.pixels.device)
            for each in (self.masks, self.identities)
        )
        masks = batch.masks if masks is None else masks
        if identities is not None and identities.shape[1] != layout.n_patches:
            raise ValueError(
                f"`identities` must have a number for each of {layout.n_patches} patches; got "
                f"{identities.shape[1]}. Pass one row per image."
            )
        return Pictures(layout, batch.pixels, masks, identities, self.tolerance)

    def require_fit(self, n_images: int, scores: Sequence[str] | None, batch: Batch) -> None:
        """Raises `ValueError` for another number of images, or where masks are asked for."""
        for name, each in (("masks", self.masks), ("identities", self.identities)):
            if each is not None and len(each) != n_images:
                raise ValueError(
                    f"`{name}` must have one entry per image, {n_images}; got {len(each)}. "
                    "Check that both come from the same set."
                )
        asked = {"foreground", "text"} & set(scores or ())
        if asked and self.masks is None and batch.masks is None:
            raise ValueError(
                f"Score {min(asked)!r} needs `masks`; got none. Pass them, or images that have "
                "some: `task.images(masks='objects')`."
            )
