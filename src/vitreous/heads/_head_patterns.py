"""Where all heads look on average."""

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.heads._attention_pass import watch_attention
from vitreous.heads._seen import Setting
from vitreous.models import HookedCLIP, HookedViT, as_numbers, image_tower, stream


def head_patterns(
    model: HookedViT | HookedCLIP,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    batch_size: int | None = None,
) -> xarray.Dataset:
    """Averages every head's pattern over images, and sums it up as maps.

    One run per batch. A layer's patterns are reduced as the run comes by, and never kept. A mean
    shows what stays the same from image to image: a head that follows the content looks as if it
    attended to all alike. `head_profile` says more of one head.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant. Where attention is divided over time and space, that over space is meant.
        images: Preprocessed images, or `vt.data.Images`.
        batch_size: Images at once; None means what `images` say.

    Returns:
        Means over images, parts of an attention of 1: `by_offset[layer, head, row_offset,
        column_offset]`, attention of patches to the patch that far below and to the right, over the
        patches that have one (of clips with `frame_offset` in front); `by_cls[layer, head, token]`,
        that of the class token, NaN without one; `received[layer, head, token]`, that of all.

    Raises:
        ValueError: No images, images of several sizes, or attention that isn't finite.
    """
    model = image_tower(model)
    means = _Means(model)
    for batch in stream(model, images, batch_size=batch_size):
        means.see(batch.pixels)
    return means.result()


class _Means:
    """Sums over images of what is linear in a pattern, by layer."""

    def __init__(self, model: HookedViT) -> None:
        self.model = model
        self.setting: Setting | None = None
        self.n_images = 0
        self.sums: dict[str, list[Tensor]] = {}

    def see(self, pixels: Tensor) -> None:
        self.setting = setting = Setting.of_run(self.model, pixels, "pattern", "all", self.setting)
        self.n_images += len(pixels)

        def react(layer: int, pattern: Tensor) -> None:
            pattern = pattern.double().sum(0)
            cls = pattern[:, 0]
            self._add("by_offset", layer, setting.offset_means(pattern))
            self._add("by_cls", layer, cls if setting.places.layout.cls else cls * torch.nan)
            self._add("received", layer, pattern.mean(1))

        watch_attention(self.model, pixels, "pattern", react)

    def _add(self, name: str, layer: int, values: Tensor) -> None:
        layers = self.sums.setdefault(name, [])
        if layer == len(layers):
            layers.append(values)
        else:
            layers[layer] = layers[layer] + values

    def result(self) -> xarray.Dataset:
        assert self.setting is not None
        offsets, cfg = self.setting.offset_coordinates, self.model.cfg
        means = {name: torch.stack(sums) / self.n_images for name, sums in self.sums.items()}
        dims = {"by_offset": [*offsets], "by_cls": ["token"], "received": ["token"]}
        return xarray.Dataset(
            {name: (["layer", "head", *dims[name]], as_numbers(x)) for name, x in means.items()},
            coords={"layer": range(cfg.n_layers), "head": range(cfg.n_heads)}
            | {"token": self.setting.places.layout.names()}
            | offsets,
            attrs={"images": self.n_images},
        )
