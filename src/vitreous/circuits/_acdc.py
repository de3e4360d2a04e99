"""Edges that can go one after the other without much harm."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.circuits._distance import Metric, distance_of_none, distances, require_metric
from vitreous.circuits._masked_runs import MaskedRuns
from vitreous.models import Graph, Pairs, TokenGroups, node_of

Place = tuple[int, int, int]


def acdc(
    pairs: Pairs,
    graph: Graph,
    *,
    groups: TokenGroups | None = None,
    thresholds: Sequence[float] | None = None,
    metric: Metric = "kl",
    max_batch: int = 64,
) -> Float[Tensor, "groups sources destinations"]:
    """Tries to remove every edge, from the readout back, and keeps those that can't go.

    With one threshold: go through destinations from the readout back to the first block, and for
    each through its edges, that of the latest source first, group by group. An edge stays removed
    if and only if this changes the distance to the full model, averaged over pairs, by less than
    the threshold. Edges into a node that nothing reads any more are removed without a run: they
    can't change anything.

    **The score of an edge is the largest of the thresholds that keeps it**, and 0 where none
    does. All thresholds are worked off side by side, each a set of edges of its own in one
    stacked pass; those that have removed the same edges so far share one. Up to edges x
    thresholds x pairs rows run.

    Greedy, so that the order decides between two edges that do the same work: here the later
    source is tried first, and the earlier one stays.

    Args:
        pairs: From `Pairs.of`. All are held at once.
        graph: Of their model.
        groups: Which tokens are in which group of the graph.
        thresholds: In units of the metric; None means 16, from 1e-5 times the empty circuit's
            distance to that itself, each 2.2 times the one before.
        metric: `"kl"`, the divergence from the full model's distribution over labels, in nats; or
            `"target"`, the size of the target's change.
        max_batch: The most rows that run at once.

    Returns:
        Thresholds; never negative.

    References:
        Conmy et al., "Towards Automated Circuit Discovery for Mechanistic Interpretability",
        2023, algorithm 1. Departs from it: with `"target"`, the distance is a mean of absolute
        differences, so that edges that speak against the target are kept as well.
    """
    runs = MaskedRuns(pairs, graph, groups=groups, max_batch=max_batch)
    require_metric(metric, runs)
    grid = _grid(thresholds, runs, metric)
    kept = kept_at(runs, grid, metric)
    reach = grid.view(-1, 1, 1, 1) * kept
    return reach.amax(0)


@torch.no_grad()
def kept_at(
    runs: MaskedRuns, thresholds: Float[Tensor, " sets"], metric: Metric
) -> Bool[Tensor, "sets groups sources destinations"]:
    """The circuit of each threshold."""
    graph = runs.graph
    kept = graph.possible.repeat(len(thresholds), 1, 1, 1)
    distance = torch.zeros(len(thresholds), dtype=torch.float64)
    outgoing = _outgoing(graph)
    for place in edges_from_the_end(graph):
        is_read = kept[:, :, outgoing[place[2]]].flatten(1).any(1)
        is_read |= graph.destinations[place[2]] == "logits"
        kept[(~is_read).nonzero().flatten(), *place] = False
        [tried] = is_read.nonzero(as_tuple=True)
        if not len(tried):
            continue
        without = kept[tried]
        without[:, *place] = False
        changed = _shared_distances(runs, without, metric)
        goes = changed - distance[tried] < thresholds[tried]
        kept[tried[goes], *place] = False
        distance[tried[goes]] = changed[goes]
    return kept


def edges_from_the_end(graph: Graph) -> list[Place]:
    """Group, source and destination of each edge, in the order in which they are tried."""
    places = graph.possible.permute(2, 1, 0).flip(0, 1).nonzero().tolist()
    last, latest = len(graph.destinations) - 1, len(graph.sources) - 1
    return [(group, latest - source, last - place) for place, source, group in places]


def _outgoing(graph: Graph) -> list[list[int]]:
    """Of each destination, the source of the same node; none for the readout."""
    sources = {name: place for place, name in enumerate(graph.sources)}
    nodes = [node_of(name) for name in graph.destinations]
    return [[sources[node]] if node in sources else [] for node in nodes]


def _shared_distances(
    runs: MaskedRuns, sets: Bool[Tensor, "sets groups sources destinations"], metric: Metric
) -> Float[Tensor, " sets"]:
    """Equal sets run once."""
    different, where = sets.flatten(1).unique(dim=0, return_inverse=True)
    measured = distances(runs, different.unflatten(1, sets.shape[1:]), metric)
    return measured.cpu().double()[where]


def _grid(
    thresholds: Sequence[float] | None, runs: MaskedRuns, metric: Metric
) -> Float[Tensor, " sets"]:
    if thresholds is None:
        return distance_of_none(runs, metric) * torch.logspace(-5, 0, 16, dtype=torch.float64)
    grid = torch.tensor(list(thresholds), dtype=torch.float64)
    if not len(grid) or not bool((grid > 0).all()) or not bool(grid.isfinite().all()):
        raise ValueError(
            f"`thresholds` must be positive numbers; got {list(thresholds)}. Leave it out for a "
            "grid that fits the pairs."
        )
    return grid
