"""Edges interchanged one by one, or set by set: every edge in rows of its own, live behind it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from vitreous.terrarium import CompiledModel

Named = tuple[str, str]


def all_edges(item: CompiledModel) -> list[Named]:
    graph = item.graph
    return [
        (source, destination)
        for i, source in enumerate(graph.sources)
        for j, destination in enumerate(graph.destinations)
        if graph.possible[0, i, j]
    ]


def true_edges(item: CompiledModel) -> set[Named]:
    return {(edge.source, edge.destination) for edge in item.graph.edges()}


def writing(source: str) -> tuple[str, int | None]:
    """The hook point at which a source is seen, and its head."""
    if source == "input":
        return "blocks.0.hook_resid_pre", None
    if source.startswith("m"):
        return f"blocks.{source[1:]}.hook_mlp_out", None
    layer, head = source[1:].split(".h")
    return f"blocks.{layer}.attn.hook_result", int(head)


def reading(destination: str, n_layers: int) -> tuple[str, int | None]:
    """The hook point at which a destination's input is edited, and its head."""
    if destination == "logits":
        return f"blocks.{n_layers - 1}.hook_resid_post", None
    if destination.startswith("m"):
        return f"blocks.{destination[1:]}.hook_mlp_in", None
    node, letter = destination[:-1].split("<")
    layer, head = node[1:].split(".h")
    return f"blocks.{layer}.hook_{letter}_input", int(head)


def part(value: Tensor, head: int | None) -> Tensor:
    return value if head is None else value[:, :, head]


def written(item: CompiledModel, images: Tensor) -> dict[str, Tensor]:
    points = {source: writing(source) for source in item.graph.sources}
    wanted = {name for name, _ in points.values()}
    with torch.no_grad():
        _, cache = item.model.run_with_cache(images, names_filter=wanted)
    return {source: part(cache[name], head) for source, (name, head) in points.items()}


def interchanged(
    item: CompiledModel, images: Tensor, changes: dict[Named, Tensor]
) -> dict[Named, Tensor]:
    """The target where the destination of one edge reads something else, for each edge."""
    by_point: dict[str, list[tuple[Named, int | None]]] = {}
    for edge in changes:
        name, head = reading(edge[1], item.model.cfg.n_layers)
        by_point.setdefault(name, []).append((edge, head))
    found = {}
    for name, edges in by_point.items():

        def edit(value: Tensor, hook: object, edges: Any = edges) -> Tensor:
            for rows, (edge, head) in zip(value.chunk(len(edges)), edges, strict=True):
                part(rows, head).add_(changes[edge])
            return value

        every = images.repeat(len(edges), 1, 1, 1)  # a row per edge and image
        with torch.no_grad():
            value = item.target(item.model.run_with_hooks(every, fwd_hooks=[(name, edit)]))
        found |= zip((edge for edge, _ in edges), value.chunk(len(edges)), strict=True)
    return found


def effects(item: CompiledModel, base: Tensor, other: Tensor) -> dict[Named, Tensor]:
    """What each edge, interchanged alone, does to the target of each image of `base`."""
    of_base, of_other = written(item, base), written(item, other)
    changes = {edge: of_other[edge[0]] - of_base[edge[0]] for edge in all_edges(item)}
    with torch.no_grad():
        value = item.target(item.model(base))
    return {edge: each - value for edge, each in interchanged(item, base, changes).items()}


def value_of(item: CompiledModel, clean: Tensor, corrupt: Tensor, kept: Iterable[Named]) -> Tensor:
    """The target where only some edges carry the clean run, as it comes out of them."""
    model, frozen, live = item.model, written(item, corrupt), {}
    removed = set(all_edges(item)) - set(kept)
    hooks = []

    def keep(source: str, head: int | None):
        def look(value: Tensor, hook: object) -> None:
            live[source] = part(value, head).clone()

        return look

    def replace(destination: str, head: int | None):
        def edit(value: Tensor, hook: object) -> Tensor:
            for source, reader in removed:
                if reader == destination:
                    part(value, head).add_(frozen[source] - live[source])
            return value

        return edit

    for source in item.graph.sources:
        name, head = writing(source)
        hooks.append((name, keep(source, head)))
    for destination in item.graph.destinations:
        name, head = reading(destination, model.cfg.n_layers)
        hooks.append((name, replace(destination, head)))
    with torch.no_grad():
        return item.target(model.run_with_hooks(clean, fwd_hooks=hooks))


def gradients(item: CompiledModel, stream: Tensor) -> dict[str, Tensor]:
    """Of the target by what each destination reads, from a first stream that no picture has."""
    model, seen = item.model, {}
    points = {d: reading(d, model.cfg.n_layers) for d in item.graph.destinations}

    def watch(value: Tensor, hook: object) -> Tensor:
        value = value * 1.0
        value.retain_grad()
        seen[hook.name] = value
        return value

    def enter(value: Tensor, hook: object) -> Tensor:
        return stream.clone().requires_grad_()

    names = {name for name, _ in points.values()}
    hooks = [("blocks.0.hook_resid_pre", enter), *((name, watch) for name in names)]
    images = model.placement.new_zeros(len(stream), 3, *model.cfg.image_shape)
    item.target(model.run_with_hooks(images, fwd_hooks=hooks)).sum().backward()
    return {d: part(seen[name].grad, head) for d, (name, head) in points.items()}


def gradient_scores(
    item: CompiledModel, clean: Tensor, corrupt: Tensor, places: list[float]
) -> dict[Named, float]:
    """EAP: what gradients say of each edge, averaged over places between corrupt (0) and clean."""
    of_clean, of_corrupt = written(item, clean), written(item, corrupt)
    start, end = of_corrupt["input"], of_clean["input"]
    runs = [gradients(item, start + place * (end - start)) for place in places]
    mean = {d: sum(run[d] for run in runs) / len(runs) for d in item.graph.destinations}
    return {
        (s, d): abs(float(((of_clean[s] - of_corrupt[s]) * mean[d]).sum((1, 2)).mean()))
        for s, d in all_edges(item)
    }


def auroc(scores: dict[Named, float], true: set[Named]) -> float:
    """How often a true edge scores above a false one; half of the ties count."""
    inside = [score for edge, score in scores.items() if edge in true]
    outside = [score for edge, score in scores.items() if edge not in true]
    wins = sum((a > b) + (a == b) / 2 for a in inside for b in outside)
    return wins / (len(inside) * len(outside))
