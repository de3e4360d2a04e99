"""The two runs of a pair, and starting one of them again from a block with some values changed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.models import GlassTransformer, Pairs, as_numbers

Direction = Literal["denoise", "noise"]
Item = TypeVar("Item")

_SIDES = {"denoise": ("corrupt", "clean"), "noise": ("clean", "corrupt")}


def sides(direction: str) -> tuple[str, str]:
    """The half that is run again, and the one that the values come from."""
    require_one_of("direction", direction, _SIDES)
    return _SIDES[direction]


def require_one_of(argument: str, value: object, allowed: Iterable[str]) -> None:
    names = list(allowed)
    if value not in names:
        listed = ", ".join(map(repr, names))
        raise ValueError(f"`{argument}` must be one of {listed}; got {value!r}. Pass one of them.")


def stream_into(model: GlassTransformer, layer: int) -> str:
    """The point whose value starts block `layer`: the hooks of that block are yet to come."""
    if layer:
        return f"blocks.{layer - 1}.hook_resid_post"
    return "hook_full_embed" if model.ln_pre is None else "hook_ln_pre"


class Run:
    """Values of one run under all active hooks, and the stream in front of each block."""

    def __init__(self, model: GlassTransformer, inputs: Tensor, points: Iterable[str] = ()) -> None:
        self.model, self.inputs = model, inputs
        names = [stream_into(model, layer) for layer in range(model.cfg.n_layers)]
        wanted = list(dict.fromkeys([*names, *points]))
        with torch.no_grad():
            self._values = model.run_with_cache(inputs, names_filter=wanted, return_type=None)[1]

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def from_layer(self, layer: int, copies: int = 1) -> tuple[Tensor, dict[str, Any]]:
        """What to call the model with to run from a block on, the images `copies` times over."""
        stream = tiled(self[stream_into(self.model, layer)], copies)
        layout = self.model.layout_for(tiled(self.inputs, copies))
        return stream, {"start_at_layer": layer, "layout": layout}

    def again(self, layer: int, copies: int = 1, **forward: Any) -> Tensor:
        """The run from a block on, under the hooks that are active by now."""
        stream, start = self.from_layer(layer, copies)
        with torch.no_grad():
            return self.model(stream, **start, **forward)


def tiled(values: Tensor, copies: int) -> Tensor:
    """All rows, `copies` times over."""
    return values if copies == 1 else values.repeat(copies, *[1] * (values.ndim - 1))


def rows_of(place: int, count: int) -> slice:
    """The rows of one of the copies, where there are `count` in each."""
    return slice(place * count, (place + 1) * count)


def stacked(
    items: Sequence[Item], pairs: Pairs, max_batch: int
) -> Iterator[tuple[Sequence[Item], int]]:
    """Items that run at once, stacked along the batch, and how many rows that makes.

    Under hooks of somebody else it is one at a time: those may hold a value for each pair.
    """
    is_hooked = any(point.fwd_hooks for point in pairs.model.hook_dict.values())
    at_once = 1 if is_hooked else max(1, max_batch // len(pairs))
    for start in range(0, len(items), at_once):
        chunk = items[start : start + at_once]
        yield chunk, len(chunk) * len(pairs)


def effects(
    pairs: Pairs,
    direction: str,
    effect: Float[Tensor, "batch *components"],
    dims: Sequence[str],
    coords: dict[str, Any],
    **attrs: Any,
) -> xarray.Dataset:
    """The result of a patching method, as a sweep gives it."""
    base = {"clean": pairs.clean_value, "corrupt": pairs.corrupt_value}[sides(direction)[0]]
    by_pair = effect.movedim(0, -1)
    normalized = pairs.normalized(by_pair + base.to(effect)).movedim(-1, 0)
    dims = ("pair", *dims)
    return xarray.Dataset(
        {
            "effect": (dims, as_numbers(effect)),
            "normalized": (dims, as_numbers(normalized)),
            "clean": ("pair", as_numbers(pairs.clean_value)),
            "corrupt": ("pair", as_numbers(pairs.corrupt_value)),
        },
        coords={"pair": np.arange(len(pairs)), **coords},
        attrs={"target_name": pairs.target.name, "direction": direction, "unit": "logit"} | attrs,
    )
