"""The pass that every lens makes: streams in, labeled logits out, layer by layer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import HookFunction, HookPoint
from vitreous.lenses._labeled import labeled
from vitreous.lenses._reader import Model, Reader
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    TokenLayout,
    TransformerCache,
    require_finite,
    stream,
)

At = Literal["pre", "mid", "post"]
Part = tuple[dict[str, Tensor], TokenLayout]


@runtime_checkable
class Translator(Protocol):
    """Takes the stream at a layer to what it would be behind the last one."""

    def translate(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The stream at `layer` (-1 is the embedding) in terms of the last one."""
        ...


@dataclass(frozen=True)
class Reading:
    """What is read, and where.

    Attributes:
        reader: Makes logits of a stream.
        translator: Translates it first; None for the logit lens.
        positions: Tokens, as `TokenLayout.select` takes them; None for none.
        top: How many classes to keep; None keeps all.
        among: The classes from which they are chosen; None means all.
    """

    reader: Reader
    translator: Translator | None
    positions: Any
    top: int | None
    among: Tensor | None

    def __call__(
        self, resid: Float[Tensor, "batch tokens d_model"], layer: int, layout: TokenLayout
    ) -> dict[str, Tensor]:
        """The results of one layer, by their names in the Dataset."""
        if self.translator is not None:
            resid = self.translator.translate(resid, layer, layout)
        read: dict[str, Tensor] = {}
        if self.positions is not None:
            chosen = layout.select(self.positions)
            read |= self._kept("logit", "", self.reader.tokens(resid, chosen))
        if self.reader.pools:
            read |= self._kept("readout", "readout_", self.reader.whole(resid, layout))
        return read

    def _kept(
        self, name: str, prefix: str, logits: Float[Tensor, "... labels"]
    ) -> dict[str, Tensor]:
        if self.top is None:
            return {name: logits}
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        some = wide if self.among is None else wide[..., self.among]
        values, label = some.topk(self.top, dim=-1)
        label = label if self.among is None else self.among[label]
        return {name: values, f"{prefix}label": label, f"{prefix}log_partition": wide.logsumexp(-1)}


def read_lens(
    model: Model,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    lens: str = "logit",
    translator: Translator | None = None,
    at: At = "post",
    layers: Sequence[int] | None = None,
    positions: Any = "all",
    labels: Any = None,
    top: int | None = None,
    cache: TransformerCache | None = None,
) -> xarray.Dataset:
    """What every lens does; `logit_lens` says what the arguments and the result are.

    Streams are read in the pass that makes them, one layer at a time, so none is held.

    Args:
        model: See `logit_lens`.
        images: See there.
        lens: What the lens is called in the result.
        translator: Takes each stream to the last layer's terms before it is read.
        at: See `logit_lens`.
        layers: See there.
        positions: See there.
        labels: See there.
        top: See there.
        cache: See there.
    """
    reader = Reader.of(model, labels)
    is_subset = labels is not None and not isinstance(model, HookedCLIP)
    among = reader.indices(labels) if is_subset else None
    _require_top(top, len(reader.names) if among is None else len(among))
    narrow = reader if among is None or top is not None else reader.keeping(among)
    streams = _streams(reader.tower, at, layers)
    reading = Reading(narrow, translator, positions, top, among)
    with torch.no_grad():
        values, layout = _joined(_results(reading, streams, images, cache))
    name = str(reader.tower.card.get("name", "a model without a name"))
    about = {"at": at, "lens": lens, "model": name, "top": top}
    chosen = None if positions is None else layout.select(positions)
    kept = range(len(reader.names)) if among is None else among.tolist()
    return labeled(values, layout, list(streams), chosen, reader.names, kept, about)


def _results(
    reading: Reading,
    streams: dict[int, str],
    images: Tensor | Images,
    cache: TransformerCache | None,
) -> Iterator[Part]:
    """Batch by batch, the results of all layers."""
    if cache is not None:
        layout = cache.layout
        read = {layer: reading(cache.at(name), layer, layout) for layer, name in streams.items()}
        yield _stacked(read), layout
        return
    tower = reading.reader.tower
    if isinstance(images, Tensor):
        tower.layout_for(images)  # says what images have to be, before a stream makes them fit
    for batch in stream(tower, images):
        layout = tower.layout_for(batch.pixels)
        read = _stacked(_pass(reading, streams, batch.pixels, layout))
        yield read if batch.labels is None else read | {"true_label": batch.labels.cpu()}, layout


def _pass(
    reading: Reading, streams: dict[int, str], pixels: Tensor, layout: TokenLayout
) -> dict[int, dict[str, Tensor]]:
    """Runs the model and reads each stream while it is there."""
    read: dict[int, dict[str, Tensor]] = {}

    def reads(layer: int) -> HookFunction:
        def hook(resid: Tensor, point: HookPoint) -> None:
            read[layer] = reading(resid, layer, layout)

        return hook

    hooks = [(name, reads(layer)) for layer, name in streams.items()]
    reading.reader.tower.run_with_hooks(pixels, fwd_hooks=hooks, return_type=None)
    return {layer: read[layer] for layer in streams}


def _stacked(read: dict[int, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Layers side by side, on the CPU."""
    parts: dict[str, Tensor] = {}
    for name in next(iter(read.values())):
        whole = torch.stack([of_layer[name] for of_layer in read.values()], 1)
        if not whole.sum().isfinite():  # one look at each, and a closer one only where it fails
            for layer, of_layer in read.items():
                require_finite(of_layer[name], f"{name} at layer {layer}")
        parts[name] = whole.cpu()
    return parts


def _joined(parts: Iterable[Part]) -> Part:
    """All batches, one after the other."""
    values, layouts = zip(*parts, strict=True)
    if any(layout != layouts[0] for layout in layouts):
        raise ValueError(
            "`images` must have one size; got several. Read those of each size by themselves."
        )
    if len(values) == 1:
        return values[0], layouts[0]
    return {name: torch.cat([each[name] for each in values]) for name in values[0]}, layouts[0]


def _streams(model: HookedViT, at: str, layers: Sequence[int] | None) -> dict[int, str]:
    """The hook point to read for each layer."""
    if at not in ("pre", "mid", "post") or (at == "mid" and not model.cfg.has_resid_mid):
        known = "'pre', 'mid' or 'post'" if model.cfg.has_resid_mid else "'pre' or 'post'"
        raise ValueError(f"`at` must be {known} for this model; got {at!r}. Pass one of them.")
    n_layers = model.cfg.n_layers
    first = -1 if at == "post" else 0
    chosen = range(first, n_layers) if layers is None else layers
    if isinstance(chosen, int) or not len(chosen):
        raise ValueError(f"`layers` must be a list of blocks; got {layers!r}. Pass one or more.")
    for layer in chosen:
        if not first <= layer < n_layers:
            raise ValueError(
                f"`layers` must lie in {first}..{n_layers - 1}; got {layer}. Choose others."
            )
    return {
        layer: "blocks.0.hook_resid_pre" if layer == -1 else f"blocks.{layer}.hook_resid_{at}"
        for layer in chosen
    }


def _require_top(top: int | None, n_labels: int) -> None:
    if top is not None and not 1 <= top <= n_labels:
        raise ValueError(
            f"`top` must lie in 1..{n_labels}, the number of classes; got {top}. Pass fewer."
        )
