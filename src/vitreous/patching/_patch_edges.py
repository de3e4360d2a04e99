"""One edge of the residual stream alone: its destination reads what the source wrote elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import HookFunction, HookPoint
from vitreous.models import Edge, GlassTransformer, Graph, Pairs, Target, layer_of, within_memory
from vitreous.patching._components import Place, head_of, layer_written
from vitreous.patching._runs import Direction, Run, effects, rows_of, sides, stacked

EdgeLike = Edge | str | tuple[str, ...]


def patch_edges(
    model: GlassTransformer,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    *,
    edges: Sequence[EdgeLike],
    together: bool = False,
    groups: Mapping[str, Any] | None = None,
    direction: Direction = "denoise",
    max_batch: int = 64,
) -> xarray.Dataset:
    """Lets a destination read what a source wrote in the other run, over one direct edge.

    The residual stream is a sum of what sources write. The destination reads the stream with one
    summand of the other run in place of its own; every other reader reads it as it is, and all
    behind the destination is live. So nothing mediates: not the heads between the two, and not
    the MLPs, which `path_patching` leaves live.

    Plain and exact: per-head inputs and outputs are laid out, one row of a batch per edge and pair.

    Args:
        model: A glass transformer whose writes add up.
        clean: Preprocessed images, or `vt.data.Images`.
        corrupt: The other halves of the pairs; one stands for all.
        target: From `model.target(...)`, or what that takes.
        edges: With the names of `Graph`: `("a0.h1", "m2")`, `"a0.h1->a2.h0<q>"`, or
            `graph.edges()`; with groups `("a0.h1", "m2", "cls")`.
        together: Whether all edges are patched at once, and not each alone. All edges that there
            are make the other run.
        groups: Tokens by name of group, as `positions` takes them; an edge of a group carries
            what the source wrote at those. None means one group of all.
        direction: `"denoise"` puts clean values into the corrupt run, `"noise"` the reverse.
        max_batch: The most rows that run at once.

    Returns:
        As of a sweep: `effect[pair, component]` = target(patched) - target(baseline), in units of
        the output, one component per edge, `normalized`, `clean[pair]` and `corrupt[pair]`;
        `effect[pair]` with `together`.

    Raises:
        UnsupportedModelError: A model whose writes don't add up, since a norm stands behind them.
        UnknownNameError: A source, destination or group that isn't there.
        ValueError: An edge that doesn't lead forward; none at all; pairs that can't be compared.
        MemoryError: `max_batch` rows don't fit into memory.

    References:
        Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021, section "Virtual
        weights", and Conmy et al., "Towards Automated Circuit Discovery", 2023, section 3.
    """
    graph = Graph.of(model, None if groups is None else list(groups))
    named = [_checked(graph, edge) for edge in edges]
    if not named:
        raise ValueError("`edges` must hold an edge; got none. Name a source and a destination.")
    base, _ = sides(direction)
    sets = [named] if together else [[edge] for edge in named]
    pairs = Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
    masks = _masks(pairs, {"all": "all"} if groups is None else groups)
    parts = []
    for batch in pairs.batches(max_batch):
        patched = _patched(batch, direction, sets, masks, max_batch)
        parts.append(patched - getattr(batch, f"{base}_value"))
    effect = torch.cat(parts, 1).T
    if together:
        return effects(pairs, direction, effect[:, 0], (), {}, edges=len(named))
    return effects(pairs, direction, effect, ("component",), _coords(named))


def _checked(graph: Graph, edge: EdgeLike) -> Edge:
    parts: list[Any] = edge.split("->") if isinstance(edge, str) else list(edge[:3])
    if len(parts) not in (2, 3) or (len(parts) == 2 and len(graph.groups) > 1):
        needed = "a source, a destination and a group" if len(graph.groups) > 1 else "two ends"
        raise ValueError(
            f"An edge must name {needed}; got {edge!r}. Write ('a0.h1', 'm2') or 'a0.h1->m2'."
        )
    source, destination, group = [*parts, *graph.groups][:3]
    named = Edge(source, destination, group)
    graph.index(*named[:3])
    return named


def _coords(edges: Sequence[Edge]) -> dict[str, Any]:
    named = {"source": 0, "destination": 1, "group": 2}
    coords = {word: ("component", [edge[place] for edge in edges]) for word, place in named.items()}
    return {"component": [str(edge) for edge in edges]} | coords


def _masks(pairs: Pairs, groups: Mapping[str, Any]) -> dict[str, Float[Tensor, "tokens 1"]]:
    """One at the tokens of a group, zero elsewhere."""
    layout = pairs.model.layout_for(pairs.clean)
    masks = {}
    for name, positions in groups.items():
        mask = torch.zeros(layout.n_tokens, 1, dtype=pairs.model.placement.dtype)
        mask[layout.select(positions)] = 1
        masks[name] = mask.to(pairs.model.placement.device)
    return masks


def _patched(
    batch: Pairs,
    direction: str,
    sets: Sequence[Sequence[Edge]],
    masks: Mapping[str, Tensor],
    max_batch: int,
) -> Float[Tensor, "sets batch"]:
    """The target with each set of edges patched."""
    base_side, source_side = sides(direction)
    values = []
    with within_memory(len(batch)):
        written = {_writes(edge.source)[0] for edges in sets for edge in edges}
        source = Run(batch.model, getattr(batch, source_side), written)
        base = Run(batch.model, getattr(batch, base_side))
    for chunk, rows in stacked(sets, batch, max_batch):
        patches = _Patches(batch.model, source, masks, len(batch), chunk)
        with within_memory(rows), batch.model.hooks(patches.hooks()):
            output = base.again(patches.first, len(chunk))
        values += [batch.target(part) for part in output.split(len(batch))]
    return torch.stack(values)


class _Patches:
    """Hooks that swap summands of what destinations read, each set of edges in its own rows."""

    def __init__(
        self,
        model: GlassTransformer,
        source: Run,
        masks: Mapping[str, Tensor],
        count: int,
        sets: Sequence[Sequence[Edge]],
    ) -> None:
        self.model, self.source, self.masks = model, source, masks
        self.live: dict[str, Tensor] = {}  # what was written, in this very pass
        self.edges = [
            (rows_of(place, count), edge) for place, edges in enumerate(sets) for edge in edges
        ]
        self.first = min(layer_written(edge.source) for _, edge in self.edges)

    def hooks(self) -> list[tuple[str, HookFunction]]:
        """Change what destinations read, and keep what sources write then."""
        watched = {_writes(edge.source)[0] for _, edge in self.edges}
        by_point: dict[str, list[tuple[slice, int | None, Edge]]] = {}
        for rows, edge in self.edges:
            point, head = self._reads(edge.destination)
            by_point.setdefault(point, []).append((rows, head, edge))
            if point.endswith("mlp_out"):
                watched.add(_stream_of(edge.destination))
        swapping = [(point, self._swap(changes)) for point, changes in by_point.items()]
        return [*swapping, *((point, self._keep) for point in watched)]

    def _keep(self, value: Tensor, hook: HookPoint) -> None:
        self.live[hook.name] = value

    def _swap(self, changes: Sequence[tuple[slice, int | None, Edge]]) -> HookFunction:
        def edit(value: Tensor, hook: HookPoint) -> Tensor:
            is_output = hook.name.endswith("mlp_out")
            read = self.live[_stream_of(changes[0][2].destination)].clone() if is_output else value
            for rows, head, edge in changes:
                stream = read if head is None else read[:, :, head]
                stream[rows] += self._difference(edge, rows)
            return self._mlp(changes[0][2].destination, read) if is_output else read

        return edit

    def _difference(self, edge: Edge, rows: slice) -> Float[Tensor, "batch tokens d_model"]:
        """What the source wrote in the other run, less what it has written here."""
        point, head = _writes(edge.source)
        here, there = self.live[point][rows], self.source[point]
        difference = there - here if head is None else there[:, :, head] - here[:, :, head]
        return difference * self.masks[edge.group]

    def _reads(self, destination: str) -> Place:
        if destination == "logits":
            return f"blocks.{self.model.cfg.n_layers - 1}.hook_resid_post", None
        head, block = head_of(destination), f"blocks.{layer_of(destination)}."
        if head is not None:
            return f"{block}hook_{destination[-2]}_input", head
        return block + ("hook_mlp_out" if self.model.cfg.parallel else "hook_mlp_in"), None

    def _mlp(self, destination: str, stream: Tensor) -> Tensor:
        """What an MLP writes that stands beside attention, where no point shows what it reads."""
        block = self.model.blocks[layer_of(destination)]
        assert block.mlp is not None
        return block.mlp(stream if block.ln1 is None else block.ln1(stream))


def _writes(source: str) -> Place:
    if source == "input":
        return "blocks.0.hook_resid_pre", None
    head, block = head_of(source), f"blocks.{layer_of(source)}."
    return (block + "hook_mlp_out", None) if head is None else (block + "attn.hook_result", head)


def _stream_of(destination: str) -> str:
    return f"blocks.{layer_of(destination)}.hook_resid_pre"
