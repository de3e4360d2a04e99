"""How far heads look."""

from typing import Any, Literal

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.heads._attention_pass import watch_attention
from vitreous.heads._moments import Moments
from vitreous.heads._places import Places
from vitreous.heads._seen import Setting
from vitreous.models import HookedCLIP, HookedViT, as_numbers, image_tower, stream

Unit = Literal["patches", "pixels"]


def attention_distance(
    model: HookedViT | HookedCLIP,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    unit: Unit = "patches",
    positions: Any = "patches",
    batch_size: int | None = None,
) -> xarray.Dataset:
    """Averages the distance between a patch and those that it attends to, by layer and head.

    Where attention is divided over time and space, that over space is measured.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant.
        images: Preprocessed images, or `vt.data.Images`.
        unit: Of distances: patches, or pixels of the image that the model takes.
        positions: The patches whose attention counts, as `TokenLayout.select` takes them.
        batch_size: Images at once; None means what `images` say.

    Returns:
        `distance[layer, head]`, mean over images, and its `spread` (standard deviation over
        images), between centers of patches within a frame. `chance` is what uniform attention has.
        Of clips, `frames` and `frames_spread` as well: how many frames of patches lie between.

    Raises:
        ValueError: No images, images of several sizes, no patch among the positions, an unknown
            unit, or attention that isn't finite.

    References:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, figure 7 (right) and appendix
        D.7. Departs from it: attention to the class token and to registers is left out, and an
        image's attention from patch to patch scaled to one, so that a head that mostly looks there
        isn't taken for a local one.
    """
    model = image_tower(model)
    if unit not in ("patches", "pixels"):
        raise ValueError(f"`unit` must be 'patches' or 'pixels'; got {unit!r}. Pass one of them.")
    measured = _Distances(model, unit, positions)
    for batch in stream(model, images, batch_size=batch_size):
        measured.see(batch.pixels)
    return measured.result()


class _Distances:
    """Moments of distances, by layer."""

    def __init__(self, model: HookedViT, unit: Unit, positions: Any) -> None:
        self.model, self.unit, self.positions = model, unit, positions
        self.setting: Setting | None = None
        kinds = ("distance", "frames") if model.layout.grid[0] > 1 else ("distance",)
        layers = range(model.cfg.n_layers)
        self.moments = {kind: [Moments() for _ in layers] for kind in kinds}

    def see(self, pixels: Tensor) -> None:
        self.setting = Setting.of_run(self.model, pixels, "pattern", self.positions, self.setting)
        setting, values = self.setting, self._values(self.setting.places)
        if not setting.patches.any():
            raise ValueError(
                f"`positions` must have a patch; got none. Select some, not {self.positions!r}."
            )

        def react(layer: int, attention: Tensor) -> None:
            for kind, moments in self.moments.items():
                found = setting.places.mean_over_pairs(attention, values[kind], setting.patches)
                moments[layer].add(found)

        watch_attention(self.model, pixels, "pattern", react)

    def result(self) -> xarray.Dataset:
        assert self.setting is not None
        found = {}
        for kind, layers in self.moments.items():
            means, spreads = (
                torch.stack([getattr(layer, what) for layer in layers])
                for what in ("mean", "spread")
            )
            found[kind] = (("layer", "head"), as_numbers(means))
            name = "spread" if kind == "distance" else f"{kind}_spread"
            found[name] = (("layer", "head"), as_numbers(spreads))
        places, uniform = self.setting.places, self.setting.uniform[None, None]
        values = self._values(places)["distance"]
        chance = places.mean_over_pairs(uniform, values, self.setting.patches)
        return xarray.Dataset(
            found | {"chance": float(chance)},
            coords={
                "layer": list(range(self.model.cfg.n_layers)),
                "head": list(range(self.model.cfg.n_heads)),
            },
            attrs={"unit": self.unit},
        )

    def _values(self, places: Places) -> dict[str, Tensor]:
        height, width = places.layout.patch_size if self.unit == "pixels" else (1, 1)
        apart = (places.frame[None] - places.frame[:, None]).abs().double()
        return {"distance": places.distances(height, width), "frames": apart}
