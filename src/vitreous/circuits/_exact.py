"""What each edge is worth, by running without it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.circuits._masked_runs import MaskedRuns
from vitreous.circuits._written import Baseline, Written, stand_in
from vitreous.models import Graph, Pairs, TokenGroups

Direction = Literal["noise", "denoise"]


def exact(
    pairs: Pairs,
    graph: Graph,
    *,
    groups: TokenGroups | None = None,
    direction: Direction = "noise",
    baseline: Baseline = "corrupt",
    max_batch: int = 64,
) -> Float[Tensor, "groups sources destinations"]:
    """Removes every edge alone and runs again: the definition that gradients approximate.

    A destination reads what one source writes in the other run, everything else stays live. One
    pass per edge and pair, from the block of the destination on, many edges stacked along the
    batch.

    Fails where two edges do the same work: each is worth nothing as long as the other is there.

    Args:
        pairs: From `Pairs.of`.
        graph: Of their model; all edges that there are get a score.
        groups: Which tokens are in which group of the graph.
        direction: `"noise"` begins with the clean run and removes an edge; `"denoise"` begins
            with the corrupt run and brings one edge over from the clean one.
        baseline: What a removed edge carries; see `MaskedRuns`.
        max_batch: The most rows that run at once.

    Returns:
        The mean over pairs of `target(clean) - target(clean without the edge)`, or of
        `target(corrupt with the clean edge) - target(corrupt)`, in units of the output. Positive:
        the edge speaks for the target.

    References:
        Conmy et al., "Towards Automated Circuit Discovery", 2023, section 3 (edges as direct
        connections); Goldowsky-Dill et al., "Localizing Model Behavior with Path Patching", 2023,
        section 2. Departs from the latter: MLPs are nodes, and don't carry a path onward.
    """
    if direction not in ("noise", "denoise"):
        raise ValueError(
            f"`direction` must be 'noise' or 'denoise'; got {direction!r}. Pass one of them."
        )
    if direction == "denoise" and baseline != "corrupt":
        raise ValueError(
            "`direction='denoise'` begins with the corrupt run, so that `baseline` must be "
            f"'corrupt'; got {baseline!r}. Leave one of the two out."
        )
    sign = 1 if direction == "noise" else -1
    stands_in = stand_in(pairs, baseline, max_batch=max_batch) or "corrupt"
    begin = pairs if direction == "noise" else swapped(pairs)
    total = torch.zeros(graph.possible.shape, dtype=pairs.clean_value.dtype)
    for start in range(0, len(pairs), max_batch):
        rows = slice(start, start + max_batch)
        own = None if groups is None else groups.at(rows)
        total += sign * _sums(begin.at(rows), graph, own, stands_in, max_batch)
    return total / len(pairs)


def swapped(pairs: Pairs) -> Pairs:
    """The same pairs, clean and corrupt exchanged."""
    return replace(
        pairs,
        clean=pairs.corrupt,
        corrupt=pairs.clean,
        clean_value=pairs.corrupt_value,
        corrupt_value=pairs.clean_value,
    )


def _sums(
    pairs: Pairs,
    graph: Graph,
    groups: TokenGroups | None,
    baseline: Baseline | Written,
    max_batch: int,
) -> Float[Tensor, "groups sources destinations"]:
    """What the first half loses with each edge, summed over pairs."""
    runs = MaskedRuns(pairs, graph, groups=groups, baseline=baseline, max_batch=max_batch)
    at_once = max(1, max_batch // len(pairs))
    with torch.no_grad():
        values = [runs.values(sets) for sets in without_each(graph, at_once)]
    lost = (pairs.clean_value - torch.cat(values)).sum(1).cpu()
    scores = torch.zeros(graph.possible.shape, dtype=lost.dtype)
    places = _by_destination(graph)
    scores[places[:, 0], places[:, 1], places[:, 2]] = lost
    return scores


def without_each(
    graph: Graph, at_once: int
) -> Iterator[Bool[Tensor, "sets groups sources destinations"]]:
    """All edges but one, for each, those of one destination after the other."""
    for places in _by_destination(graph).split(at_once):
        sets = graph.possible.repeat(len(places), 1, 1, 1)
        sets[torch.arange(len(places)), places[:, 0], places[:, 1], places[:, 2]] = False
        yield sets


def _by_destination(graph: Graph) -> Tensor:
    return graph.possible.permute(2, 0, 1).nonzero()[:, [1, 2, 0]]
