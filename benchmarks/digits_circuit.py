"""How few edges tell a 3 from an 8 on real scans: a part of `make grades`."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import xarray
from scipy.optimize import linear_sum_assignment

import vitreous as vt
from benchmarks._results import write
from benchmarks._spread import mean_and_error
from vitreous.circuits import discover, faithfulness, score_at_random
from vitreous.data import digits
from vitreous.models import Graph, HookedViT, Pairs

N_PARTS, MAX_BATCH, ENOUGH, RESAMPLES = 3, 256, 0.9, 1000
METHODS: dict[str, dict[str, Any]] = {
    "EAP": {"method": "eap"},
    "EAP-IG": {"method": "eap-ig"},
    "exact, noise": {"method": "exact"},
    "at random": {},
}


def main() -> None:
    model = vt.load("digits")
    seen, held_out = (pairs_of(model, split) for split in ("train", "test"))
    parts = [seen.at(torch.arange(part, len(seen), N_PARTS)) for part in range(N_PARTS)]
    title = (
        f"3 v. 8, `digits`, {Graph.of(model).n_possible} edges: the smallest circuit that stays at "
        f"a faithfulness of {ENOUGH} on {len(held_out)} held-out pairs; mean ± standard error over "
        f"{N_PARTS} sets of {len(parts[0])} pairs to find it on"
    )
    rows = [{"method": name} | row(parts, held_out, **how) for name, how in METHODS.items()]
    write("digits_circuit", {title: rows}, ("scikit-learn", "xarray"))


def pairs_of(model: HookedViT, split: str) -> Pairs:
    """Each 8 with a 3 of its own, such that pictures of a pair differ as little as can be."""
    assert model.preprocessing is not None
    scans = digits(split, model.preprocessing)[:]
    assert scans.labels is not None
    with torch.no_grad():
        said = torch.cat([model(x).argmax(1) for x in scans.pixels.split(MAX_BATCH)])
    threes, eights = (scans.pixels[(scans.labels == n) & (said == n)] for n in (3, 8))
    apart = torch.cdist(threes.flatten(1), eights.flatten(1))
    three, eight = linear_sum_assignment(apart.numpy())
    return Pairs.of(model, threes[three], eights[eight], model.target(3, minus=8))


def row(parts: list[Pairs], held_out: Pairs, **how: Any) -> dict[str, Any]:
    start = time.process_time()
    scored = [found(part, seed, **how) for seed, part in enumerate(parts)]
    seconds = (time.process_time() - start) / len(parts)
    smallest = [smallest_of(each, held_out) for each in scored]
    edges = np.array([count for count, _ in smallest])
    first = smallest[0][1]
    low, high = np.quantile(first, (0.025, 0.975))
    return {
        "edges": mean_and_error(edges, 0),
        "of all, %": mean_and_error(100 * edges / scored[0].n_possible, 1),
        "faithfulness of the first (middle 95 % of pairs drawn anew)": f"{low:.2f} .. {high:.2f}",
        "seconds": f"{seconds:.1f}",
    }


def found(pairs: Pairs, seed: int, method: str | None = None, **options: Any) -> Graph:
    if method is None:
        return score_at_random(Graph.of(pairs.model), seed=seed)
    halves = (pairs.clean, pairs.corrupt)
    return discover(pairs.model, *halves, pairs.target, method, max_batch=MAX_BATCH, **options)


def smallest_of(scored: Graph, pairs: Pairs) -> tuple[int, np.ndarray]:
    """Edges of the smallest circuit from which on all are faithful, and its areas resampled."""
    counts = [*counts_of(scored.n_possible)]
    circuits = [scored.top(count) for count in counts]
    curve = faithfulness(pairs, circuits, max_batch=MAX_BATCH)
    misses = np.flatnonzero(curve["faithfulness"].values < ENOUGH)
    place = int(misses.max()) + 1
    return counts[place], resampled(curve.isel(circuit=place))


def counts_of(n_edges: int) -> Iterator[int]:
    """By threes where circuits are small, and all edges at the end."""
    yield from range(0, 150, 3)
    yield from range(150, n_edges, 30)
    yield n_edges


def resampled(curve: xarray.Dataset) -> np.ndarray:
    """Faithfulness of pairs that are drawn anew, with replacement."""
    count = curve.sizes["pair"]
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    value, model, empty = (
        curve[name].values[drawn].mean(1) for name in ("value", "model", "empty")
    )
    return (value - empty) / (model - empty)


if __name__ == "__main__":
    main()
