"""One head in numbers: where it looks on average, and what it responds to most."""

from typing import Any

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Batch, Images
from vitreous.heads._seen import Setting
from vitreous.heads._strongest import Strongest
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    TokenLayout,
    as_numbers,
    image_tower,
    require_finite,
    stream,
)


def head_profile(
    model: HookedViT | HookedCLIP,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    layer: int,
    head: int,
    *,
    count: int = 9,
    one_per_image: bool = False,
    batch_size: int | None = None,
) -> xarray.Dataset:
    """Averages a head's pattern over images, and finds where it writes most.

    How much a head writes at a token is the norm of what it adds to the stream there, without the
    output bias, which no head owns. A head may write much that later layers take back or ignore.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant. Where attention is divided over time and space, its head over space is meant.
        images: Preprocessed images, or `vt.data.Images`.
        layer: The head's block; negative ones count from the end.
        head: Its number there.
        count: How many images and patches to list, at most.
        one_per_image: Whether to list at most one patch of each image, its strongest.
        batch_size: Images at once; None means what `images` say.

    Returns:
        Means over images: `by_offset[row_offset, column_offset]`, attention of patches to the patch
        that far below and to the right, over the patches that have one (of clips with
        `frame_offset` in front); `by_cls[token]`, that of the class token, NaN without one;
        `received[token]`, that of all tokens; `norm[token]`, how much the head writes there.
        The strongest first: `top_image[rank]` with `top_image_norm`, the mean over tokens; and
        `top_patch_image[patch_rank]`, `top_patch` (a token's name), `top_patch_norm` and
        `top_patch_pattern[patch_rank, token]`, what that patch attends to. Images go by their
        place in `images`.

    Raises:
        ValueError: No such head, no images, images of several sizes, or values that aren't finite.
    """
    model = image_tower(model)
    cfg = model.cfg
    layer = _index("layer", layer, cfg.n_layers)
    head = _index("head", head, cfg.n_heads)
    if count < 1:
        raise ValueError(f"`count` must be at least 1; got {count}. Try 9.")
    profile = _Profile(model, layer, head, count, one_per_image)
    for batch in stream(model, images, batch_size=batch_size):
        profile.see(batch)
    return profile.result()


class _Profile:
    """Sums over images, and the strongest images and patches so far."""

    def __init__(
        self, model: HookedViT, layer: int, head: int, count: int, one_per_image: bool
    ) -> None:
        self.model, self.layer, self.head = model, layer, head
        self.one_per_image = one_per_image
        self.images, self.patches = Strongest(count), Strongest(count)
        self.setting: Setting | None = None
        self.n_images = 0
        self.pattern = self.norm = torch.zeros(())

    def see(self, batch: Batch) -> None:
        self.setting = Setting.of_run(self.model, batch.pixels, "pattern", "all", self.setting)
        pattern, norms = self._run(batch.pixels)
        self.n_images += len(batch)
        self.pattern = self.pattern + pattern.double().sum(0)
        self.norm = self.norm + norms.double().sum(0)
        self._rank(batch.index.to(norms.device), pattern, norms)

    def result(self) -> xarray.Dataset:
        assert self.setting is not None
        layout = self.setting.places.layout
        names = layout.names()
        pattern = self.pattern / self.n_images
        by_cls = pattern[0] if layout.cls else torch.full_like(pattern[0], torch.nan)
        offsets = self.setting.offset_coordinates
        return xarray.Dataset(
            {
                "by_offset": ([*offsets], as_numbers(self.setting.offset_means(pattern[None])[0])),
                "by_cls": ("token", as_numbers(by_cls)),
                "received": ("token", as_numbers(pattern.mean(0))),
                "norm": ("token", as_numbers(self.norm / self.n_images)),
            }
            | self._top_images()
            | self._top_patches(layout),
            coords={"token": names} | offsets,
            attrs={"head": f"L{self.layer}H{self.head}", "images": self.n_images},
        )

    def _run(
        self, pixels: Tensor
    ) -> tuple[Float[Tensor, "batch queries keys"], Float[Tensor, "batch tokens"]]:
        """The head's patterns, and the norms of what it writes."""
        found: dict[str, Tensor] = {}

        def keep_pattern(value: Tensor, hook: Any) -> None:
            found["hook_pattern"] = _wide(value[:, self.head])

        def keep_norm(value: Tensor, hook: Any) -> None:
            found["hook_result"] = _wide(value[:, :, self.head]).norm(dim=-1)

        at = f"blocks.{self.layer}.attn."
        hooks = [(at + "hook_pattern", keep_pattern), (at + "hook_result", keep_norm)]
        with torch.no_grad():
            self.model.run_with_hooks(pixels, fwd_hooks=hooks, return_type=None)
        pattern, norms = (require_finite(value, at + name) for name, value in found.items())
        return pattern, norms

    def _rank(
        self,
        index: Int[Tensor, " batch"],
        pattern: Float[Tensor, "batch queries keys"],
        norms: Float[Tensor, "batch tokens"],
    ) -> None:
        assert self.setting is not None
        first = self.setting.places.layout.n_prefix
        self.images.add(norms.mean(1), image=index)
        among = norms[:, first:]
        n_kept = 1 if self.one_per_image else among.shape[1]
        values, patch = among.topk(n_kept, dim=1)
        image = torch.arange(len(index), device=index.device)[:, None].expand_as(patch)
        token = first + patch.flatten()
        image = image.flatten()
        self.patches.add(
            values.flatten(), image=index[image], token=token, pattern=pattern[image, token]
        )

    def _top_images(self) -> dict[str, Any]:
        assert self.images.values is not None
        return {
            "top_image": ("rank", self.images.notes["image"].cpu().numpy()),
            "top_image_norm": ("rank", as_numbers(self.images.values)),
        }

    def _top_patches(self, layout: TokenLayout) -> dict[str, Any]:
        notes, names = self.patches.notes, layout.names()
        assert self.patches.values is not None
        return {
            "top_patch_image": ("patch_rank", notes["image"].cpu().numpy()),
            "top_patch": ("patch_rank", [names[token] for token in notes["token"].tolist()]),
            "top_patch_norm": ("patch_rank", as_numbers(self.patches.values)),
            "top_patch_pattern": (("patch_rank", "token"), as_numbers(notes["pattern"])),
        }


def _wide(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _index(word: str, index: int, count: int) -> int:
    if not -count <= index < count:
        raise ValueError(f"`{word}` must lie in 0..{count - 1}; got {index}. Choose another.")
    return index % count
