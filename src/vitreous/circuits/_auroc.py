"""How well scores of edges tell the true ones from the others."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.models import Graph


def auroc(found: Graph, true: Graph, *, absolute: bool = True) -> float:
    """The chance that a true edge scores above a false one, ties counting half.

    The exact area under the receiver operating characteristic of the raw scores, over all edges
    that there are: no thresholds are chosen, nothing is pruned.

    Args:
        found: A graph with scores.
        true: The graph whose included edges are the true ones.
        absolute: Whether an edge that speaks against the target counts as one that matters.

    Returns:
        1 where all true edges lie above all others, 0.5 by chance.

    Raises:
        ValueError: Graphs of other shapes or groups; no scores; or all edges are true, or none.

    References:
        Mueller et al., "MIB", 2025, section on InterpBench. Departs from it: a rank statistic over
        all edges, where theirs is a trapezoid through ten sizes of circuit.
    """
    scores, is_true = _compared(found, true, absolute)
    ranks = _mean_ranks(scores)
    n_true = int(is_true.sum())
    above = float(ranks[is_true].sum()) - n_true * (n_true + 1) / 2
    return above / (n_true * (len(scores) - n_true))


def average_precision(found: Graph, true: Graph, *, absolute: bool = True) -> float:
    """The precision at each true edge's score, averaged over the true edges.

    Unlike `auroc` it asks how pure the top is, where true edges are few. Its chance level is the
    share of true edges. Equal scores enter together.

    Args:
        found: A graph with scores.
        true: The graph whose included edges are the true ones.
        absolute: Whether an edge that speaks against the target counts as one that matters.

    Returns:
        1 where all true edges lie above all others.

    Raises:
        ValueError: As `auroc`.
    """
    scores, is_true = _compared(found, true, absolute)
    values, place = scores.unique(return_inverse=True)
    taken, hits = (
        torch.zeros(len(values), dtype=torch.float64).index_add_(0, place, weight).flip(0).cumsum(0)
        for weight in (torch.ones_like(scores), is_true.double())
    )
    gained = hits.diff(prepend=hits.new_zeros(1))
    return float((gained * hits / taken).sum() / hits[-1])


def _compared(
    found: Graph, true: Graph, absolute: bool
) -> tuple[Float[Tensor, " components"], Bool[Tensor, " components"]]:
    """Scores, and whether they are of true edges."""
    if (found.shape, found.groups) != (true.shape, true.groups):
        raise ValueError(
            f"Both graphs must be of one model and one set of groups; got {found} and {true}. "
            "Discover with the groups of the true graph."
        )
    possible = found.possible | true.possible
    scores, is_true = found.require_scores()[possible].double(), true.included[possible]
    if is_true.all() or not is_true.any():
        raise ValueError(
            f"The true graph must leave some edges out and have some; got {true}. Use "
            "`graph.keeping(edges)` with the true ones."
        )
    return scores.abs() if absolute else scores, is_true


def _mean_ranks(scores: Float[Tensor, " components"]) -> Float[Tensor, " components"]:
    """From 1 for the lowest; equal scores share the mean of their ranks."""
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]
