"""Runs in which parts of a network say what they say of another picture."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vitreous.data import Batch
from vitreous.hooks import HookPoint
from vitreous.models import Graph, HookedViT, layer_of
from vitreous.terrarium import CausalModel

Hooks = list[tuple[str, Callable[[Tensor, HookPoint], Tensor | None]]]


class Outside(NamedTuple):
    """Something that no variable is said to depend on.

    Attributes:
        source: A node that stands for no variable, all that it writes; or one that does.
        destination: Where it is one that does: who reads it though the variable there doesn't.
    """

    source: str
    destination: str | None = None


class _Site(NamedTuple):
    """A point of the model, and a head there; None for all of the value."""

    point: str
    head: int | None = None


class SwappedRuns:
    """A batch run as it is, with every picture's parts at hand for another picture.

    The other picture of each is the one before it in the batch.

    Attributes:
        outside: All that isn't in the circuit: nodes that stand for no variable, and the edges
            between those that do, and from the input, that the causal model hasn't.
        logits: Of the pictures as they are.
    """

    def __init__(self, model: nn.Module, causal: CausalModel, batch: Batch) -> None:
        self._model, self._causal, self._pixels = model, causal, batch.pixels
        # Wrapped, where processes share a batch: only a pass through the whole is shared.
        self._glass = cast(HookedViT, getattr(model, "module", model))
        self._symbols = symbols_of(self._glass, batch)
        self._others = _rolled(causal.values(self._symbols))
        circuit = Graph.of(self._glass).keeping(causal.edges)
        self.outside = _outside(circuit, causal.nodes)
        self._points = sorted({self._writes(source).point for source in circuit.sources})
        as_it_is = dict[str, Tensor]()
        with self._glass.hooks(self._recording(as_it_is)):
            self.logits: Float[Tensor, "batch labels"] = model(self._pixels)
        self._donors = _rolled(as_it_is)

    def interchanged(
        self, swapped: Bool[Tensor, "batch components"]
    ) -> tuple[Float[Tensor, "batch labels"], Int[Tensor, " batch"]]:
        """Logits where nodes of some variables say what they say of the other picture.

        Args:
            swapped: Which variables, for each picture.

        Returns:
            Logits, and what the causal model answers when its variables are set like that.
        """
        nodes = dict(zip(self._causal.nodes, swapped.T, strict=True))
        with self._glass.hooks(self._swapping(nodes)):
            logits = self._model(self._pixels)
        values = self._causal.values(self._symbols, swapped, self._others)
        return logits, self._causal.label(values)

    def resampled(self, swapped: Bool[Tensor, "batch components"]) -> Float[Tensor, "batch labels"]:
        """Logits where some of what is `outside` is that of the other picture.

        Args:
            swapped: Which parts of `outside`, for each picture.
        """
        parts = list(zip(self.outside, swapped.T, strict=True))
        nodes = {part.source: rows for part, rows in parts if part.destination is None}
        live = dict[str, Tensor]()
        reading = self._reading(((part, rows) for part, rows in parts if part.destination), live)
        with self._glass.hooks([*self._swapping(nodes), *self._recording(live), *reading]):
            return self._model(self._pixels)

    def _recording(self, kept: dict[str, Tensor]) -> Hooks:
        def record(value: Tensor, point: HookPoint) -> None:
            kept[point.name] = value

        return [(name, record) for name in self._points]

    def _swapping(self, nodes: Mapping[str, Tensor]) -> Hooks:
        """Hooks that swap what whole nodes say."""
        at = defaultdict[str, list[tuple[int | None, Tensor]]](list)
        for node, rows in nodes.items():
            point, head = self._writes(node)
            at[point].append((head, rows))

        def swap(value: Tensor, point: HookPoint) -> Tensor:
            rows = sum(_spread(rows, value, head) for head, rows in at[point.name])
            return torch.where(cast(Tensor, rows).bool(), self._donors[point.name], value)

        return [(point, swap) for point in at]

    def _reading(self, parts: Iterable[tuple[Outside, Tensor]], live: dict[str, Tensor]) -> Hooks:
        """Hooks that swap what single readers see of a source, while the others see it as it is."""
        at = defaultdict[str, list[tuple[str, int | None, Tensor]]](list)
        for part, rows in parts:
            point, head = self._reads(cast(str, part.destination))
            at[point].append((part.source, head, rows))

        def swap(value: Tensor, point: HookPoint) -> Tensor:
            for source, head, rows in at[point.name]:
                change = self._written(source, self._donors) - self._written(source, live)
                change = change if head is None else change[:, :, None]
                value = value + change * _spread(rows, value, head)
            return value

        return [(point, swap) for point in at]

    def _written(
        self, source: str, values: Mapping[str, Tensor]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What a source adds to the stream, the output bias left out."""
        point, head = self._writes(source)
        if head is None:
            return values[point]
        return values[point][:, :, head] @ self._glass.blocks[layer_of(source)].attn.W_O[head]

    def _writes(self, source: str) -> _Site:
        if source == "input":
            return _Site("blocks.0.hook_resid_pre")
        block = f"blocks.{layer_of(source)}"
        if source.startswith("m"):
            return _Site(f"{block}.hook_mlp_out")
        return _Site(f"{block}.attn.hook_z", int(source.partition("h")[2]))

    def _reads(self, destination: str) -> _Site:
        if destination == "logits":
            return _Site(f"blocks.{self._glass.cfg.n_layers - 1}.hook_resid_post")
        block = f"blocks.{layer_of(destination)}"
        if destination.startswith("m"):
            return _Site(f"{block}.hook_mlp_in")
        head, _, letter = destination.partition("h")[2].rstrip(">").partition("<")
        return _Site(f"{block}.hook_{letter}_input", int(head))


def symbols_of(model: HookedViT, batch: Batch) -> Int[Tensor, "batch rows columns"]:
    """What each patch shows: the label map in its middle.

    Raises:
        ValueError: The pictures have no label maps.
    """
    if batch.masks is None:
        raise ValueError(
            "`images` must have label maps, the symbols of a task of marks; got none. Pass "
            "pictures of the task, and no augmentation, which drops label maps."
        )
    rows, columns = model.cfg.patch_shape
    return batch.masks[:, rows // 2 :: rows, columns // 2 :: columns].long()


def _outside(circuit: Graph, nodes: tuple[str, ...]) -> list[Outside]:
    idle = [Outside(source) for source in circuit.sources[1:] if source not in nodes]
    absent = circuit.including(~circuit.included).edges()
    inside = {"input", "logits", *nodes}
    return idle + [
        Outside(edge.source, edge.destination)
        for edge in absent
        if edge.source in inside and edge.destination.partition("<")[0] in inside
    ]


def _rolled(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.roll(1, 0) for name, value in values.items()}


def _spread(rows: Bool[Tensor, " batch"], value: Tensor, head: int | None) -> Tensor:
    """Rows of a batch as a mask over a value there, of one head where it has heads."""
    rows = rows.view(-1, *[1] * (value.dim() - 1))
    if head is None:
        return rows
    return rows & (torch.arange(value.shape[2], device=value.device) == head)[:, None]
