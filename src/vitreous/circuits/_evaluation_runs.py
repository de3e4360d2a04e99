"""The target of many circuits, pair by pair."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.circuits._masked_runs import MaskedRuns
from vitreous.circuits._written import Baseline, stand_in
from vitreous.models import Graph, Pairs, TokenGroups


@torch.no_grad()
def values_of(
    pairs: Pairs,
    graph: Graph,
    sets: Bool[Tensor, "sets groups sources destinations"],
    *,
    groups: TokenGroups | None = None,
    baseline: Baseline = "corrupt",
    max_batch: int = 64,
) -> Float[Tensor, "sets batch"]:
    """The target of each pair with each set of edges; pairs stream, sets are held."""
    stands_in = stand_in(pairs, baseline, max_batch=max_batch) or "corrupt"
    parts = []
    for start in range(0, len(pairs), max_batch):
        rows = slice(start, start + max_batch)
        own = None if groups is None else groups.at(rows)
        runs = MaskedRuns(
            pairs.at(rows), graph, groups=own, baseline=stands_in, max_batch=max_batch
        )
        parts.append(runs.values(sets))
    return torch.cat(parts, 1)


def included_in(graphs: Sequence[Graph]) -> Bool[Tensor, "sets groups sources destinations"]:
    """The edges of circuits of one model.

    Raises:
        ValueError: There is none, or two are of different models or groups.
    """
    if not graphs:
        raise ValueError("`circuits` must hold a graph; got none. Pass one or more.")
    first = graphs[0]
    for other in graphs:
        if other.shape != first.shape or other.groups != first.groups:
            raise ValueError(
                f"All circuits must be of one model and its groups; got {first!r} and {other!r}. "
                "Evaluate them apart."
            )
    return torch.stack([each.included for each in graphs])


def require_edges(graph: Graph) -> None:
    """Raises `ValueError` for an empty circuit, of which nothing can be left out."""
    if not graph.count:
        raise ValueError(
            "The circuit must have an edge; got an empty one. Take `graph.top(count)` of a "
            "scored graph."
        )
