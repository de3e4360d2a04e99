"""One page about a circuit: its parts and edges, how faithful it is, and where it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray
from torch import Tensor

from vitreous.circuits import faithfulness, faithfulness_curve
from vitreous.data import Images
from vitreous.heads import HeadName, name_heads, score_heads
from vitreous.models import Edge, Graph, HookedViT, Pairs, Target, TokenGroups, node_of
from vitreous.report._circuit_evidence import CircuitEvidence
from vitreous.report._circuit_parts import parts_of
from vitreous.report._circuit_sections import make_circuit_page
from vitreous.report._earned import require_scores_of
from vitreous.report._pictures import require_images, shown
from vitreous.report._provenance import data_set_facts, model_name
from vitreous.report._report import Report
from vitreous.view import Picture


@dataclass(frozen=True)
class CircuitReport(Report):
    """A page about a circuit, and the numbers on it.

    Attributes:
        page: The page; a notebook shows it by itself.
        evidence: Every number that it shows.
    """

    evidence: CircuitEvidence


def circuit_report(
    model: HookedViT,
    graph: Graph,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    *,
    images: Tensor | Images | None = None,
    scores: xarray.Dataset | None = None,
    roles: Mapping[str, str] | None = None,
    groups: TokenGroups | None = None,
    held_out: bool | None = None,
    count: int = 4,
    max_batch: int = 64,
    title: str | None = None,
) -> CircuitReport:
    """Says of a circuit which heads it has and for what, how faithful it is, and where it fails.

    The circuit is what the graph includes: `discover(...).top(40)`. Everything is measured on the
    given pairs, all other edges carrying what they carry in the corrupt run. Edges say who reads
    whom, not what is told; names are earned by attention alone; and a part's effect is measured
    within the circuit, where nothing outside can stand in for it. Takes a forward pass of each pair
    for each part of the circuit, and ten for the curve.

    Args:
        model: A vision transformer.
        graph: Of it, with a circuit included.
        clean: Preprocessed images, or `vt.data.Images`; best others than the circuit was found on.
        corrupt: As many; one stands for all.
        target: From `model.target(...)`, or what that takes.
        images: A data set on which heads earn names; without it and `scores` they have none.
        scores: From `score_heads`, in place of `images`.
        roles: By part (`a0.h1`), what is known of it, such as `CompiledModel.roles`.
        groups: Which tokens are in which group of the graph.
        held_out: Whether these pairs are others than those it was found on; the page says so.
        count: How many pairs to show of those on which the circuit fails most.
        max_batch: The most rows that run at once.
        title: Heading of the page.

    Returns:
        The page with `save`, and the numbers behind it, in units of the target.

    Raises:
        ValueError: An empty circuit, a graph or scores of another model, pairs that can't be
            compared, roles of no part, or clips.
    """
    require_images(model, "circuit_report")
    require_scores_of(model, scores)
    graph.require_model(model)
    _require_circuit(graph)
    pairs = Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
    names = _names(model, images, scores)
    evidence = _measured(model, pairs, graph, groups, max_batch, names, held_out)
    subtitle = f"{graph.count} edges of {model_name(model)}, measured on {len(pairs)} pairs"
    footer = data_set_facts(model, f"{len(pairs)} pairs of clean and corrupt")
    pictures = [_pictures(model, pairs, place, evidence) for place in evidence.worst_first[:count]]
    page = make_circuit_page(evidence, pictures, roles or {}, title, subtitle, footer)
    return CircuitReport(page, evidence)


def _measured(
    model: HookedViT,
    pairs: Pairs,
    graph: Graph,
    groups: TokenGroups | None,
    max_batch: int,
    names: tuple[HeadName, ...],
    held_out: bool | None,
) -> CircuitEvidence:
    parts = [part.name for part in parts_of(graph)]
    circuits = [graph, *(_without(graph, name) for name in parts)]
    found = faithfulness(pairs, circuits, groups=groups, max_batch=max_batch)
    means = found["value"].mean("pair").to_numpy()
    effects = {name: float(means[0] - left) for name, left in zip(parts, means[1:], strict=True)}
    curve = None
    if graph.scores is not None:
        curve = faithfulness_curve(pairs, graph, groups=groups, max_batch=max_batch)
    return CircuitEvidence(
        graph=graph,
        layout=model.layout_for(pairs.clean[:1]),
        target=pairs.target.name,
        faithful=found.isel(circuit=slice(1)),
        effects=effects,
        curve=curve,
        names=names,
        held_out=held_out,
    )


def _without(graph: Graph, part: str) -> Graph:
    """The circuit without all edges from and to a part."""

    def touches(edge: Edge) -> bool:
        return part in (edge.source, node_of(edge.destination))

    return graph.keeping(edge for edge in graph.edges() if not touches(edge))


def _names(
    model: HookedViT, images: Tensor | Images | None, scores: xarray.Dataset | None
) -> tuple[HeadName, ...]:
    if scores is None and images is not None:
        scores = score_heads(model, images)
    return () if scores is None else tuple(name_heads(scores))


def _pictures(
    model: HookedViT, pairs: Pairs, place: int, evidence: CircuitEvidence
) -> tuple[Picture, Picture]:
    """Clean and corrupt."""
    clean, corrupt = (
        Picture.of(shown(model, half[place : place + 1], evidence.layout))
        for half in (pairs.clean, pairs.corrupt)
    )
    return clean, corrupt


def _require_circuit(graph: Graph) -> None:
    if not graph.count:
        raise ValueError(
            "A circuit must have an edge; got a graph that includes none. Choose some: "
            "`graph.top(40)`."
        )
