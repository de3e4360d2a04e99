"""Circuits of all sizes from one ranking of edges, and the areas below their faithfulness."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import xarray

from vitreous.circuits._evaluation import faithfulness
from vitreous.circuits._written import Baseline
from vitreous.models import Graph, Pairs, TokenGroups

MIB_SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def faithfulness_curve(
    pairs: Pairs,
    graph: Graph,
    *,
    absolute: bool = True,
    sizes: Sequence[float] = MIB_SIZES,
    pruned: bool = True,
    groups: TokenGroups | None = None,
    baseline: Baseline = "corrupt",
    max_batch: int = 64,
) -> xarray.Dataset:
    """Faithfulness of the best edges by score, for circuits of different sizes.

    Args:
        pairs: From `Pairs.of`; not those that the scores are of.
        graph: With scores.
        absolute: Whether edges are ranked by the size of their score, or by the score with its
            sign, which leaves out first what speaks against the target.
        sizes: Shares of all edges, ascending; of n edges, `int(size * n)` are taken.
        pruned: Whether edges that lead nowhere are dropped from each circuit.
        groups: Which tokens are in which group of the graph.
        baseline: What all other edges carry; see `MaskedRuns`.
        max_batch: The most rows that run at once.

    Returns:
        What `faithfulness` gives, with coordinates `size[circuit]`, the share that was asked for,
        and `kept[circuit]`, the share of edges that is left after pruning.

    References:
        Mueller et al., "MIB: A Mechanistic Interpretability Benchmark", 2025, section 3.1, with
        its ten sizes.
    """
    _require_sizes(sizes)
    ranked = [graph.top(int(size * graph.n_possible), absolute=absolute) for size in sizes]
    circuits = [each.pruned() for each in ranked] if pruned else ranked
    curve = faithfulness(pairs, circuits, groups=groups, baseline=baseline, max_batch=max_batch)
    kept = curve["edges"] / graph.n_possible
    curve = curve.assign_coords(size=("circuit", list(sizes)), kept=("circuit", kept.data))
    ranked_by = "size of score" if absolute else "score"
    return curve.assign_attrs(ranked_by=ranked_by, edges_in_all=graph.n_possible)


def cpr(curve: xarray.Dataset, *, log: bool = False, by: str = "size") -> float:
    """Circuit performance ratio: the area below faithfulness; higher is better.

    Of a curve with `absolute=False`, in MIB. By trapezoids over `size` from the smallest to 1, so
    that a perfect circuit of every size has 0.999. With `log`, over the logarithm of the size, and
    divided by its range, so that a perfect one has 1: small circuits, which hardly count on the
    linear axis, then count as much as large ones.

    Args:
        curve: From `faithfulness_curve`.
        log: Whether the axis is logarithmic.
        by: `"size"`, the share that was asked for, which is MIB's; or `"kept"`, what is left after
            pruning (an empty circuit counts as one edge where the axis is logarithmic).
    """
    return _area(curve, curve["faithfulness"].data, log, by)


def cmd(curve: xarray.Dataset, *, log: bool = False, by: str = "size") -> float:
    """Circuit-model distance: the area between faithfulness and 1, `|1 - f|`; 0 is best.

    Of a curve with `absolute=True`, in MIB. Arguments as in `cpr`.
    """
    return _area(curve, np.abs(1 - curve["faithfulness"].data), log, by)


def evaluate(
    graph: Graph,
    pairs: Pairs,
    *,
    groups: TokenGroups | None = None,
    sizes: Sequence[float] = MIB_SIZES,
    max_batch: int = 64,
) -> xarray.Dataset:
    """Both curves and all areas of one scored graph, on pairs that it wasn't found on.

    Args:
        graph: With scores.
        pairs: Held out; see `split_pairs`.
        groups: Which tokens are in which group of the graph.
        sizes: As in `faithfulness_curve`.
        max_batch: The most rows that run at once.

    Returns:
        `faithfulness[ranking, circuit]` and `kept[ranking, circuit]` for the rankings `"score"`
        and `"size of score"`, by `size[circuit]`; and numbers: `cpr` (by score), `cmd` (by size of
        score), each with `_log`, `_kept` and `_log_kept` for the other axes.
    """
    signed, by_size = (
        faithfulness_curve(
            pairs, graph, absolute=absolute, sizes=sizes, groups=groups, max_batch=max_batch
        )
        for absolute in (False, True)
    )
    areas = {}
    for ending, log, by in _AXES:
        areas[f"cpr{ending}"] = cpr(signed, log=log, by=by)
        areas[f"cmd{ending}"] = cmd(by_size, log=log, by=by)
    ranking = xarray.Variable("ranking", [signed.ranked_by, by_size.ranked_by])
    both = [each[["faithfulness"]].reset_coords("kept") for each in (signed, by_size)]
    curves = xarray.concat(both, ranking)
    return curves.assign(areas).assign_attrs(target_name=pairs.target.name)


_AXES = (
    ("", False, "size"),
    ("_log", True, "size"),
    ("_kept", False, "kept"),
    ("_log_kept", True, "kept"),
)


def _area(curve: xarray.Dataset, heights: np.ndarray, log: bool, by: str) -> float:
    if by not in ("size", "kept"):
        raise ValueError(f"`by` must be 'size' or 'kept'; got {by!r}. Pass one of them.")
    places = curve[by].data.astype(float)
    if not log:
        return float(np.trapezoid(heights, places))
    if by == "kept":
        places = np.maximum(places, 1 / curve.attrs["edges_in_all"])
    places = np.log(places)
    return float(np.trapezoid(heights, places) / (places[-1] - places[0]))


def _require_sizes(sizes: Sequence[float]) -> None:
    rises = all(one < other for one, other in pairwise(sizes))
    if len(sizes) < 2 or not rises or sizes[0] <= 0 or sizes[-1] > 1:
        raise ValueError(
            f"`sizes` must be two or more shares in (0, 1], ascending; got {list(sizes)}. Leave "
            "it out for MIB's."
        )
