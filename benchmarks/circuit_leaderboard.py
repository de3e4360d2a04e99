"""Methods of discovery on models whose circuit is known: a part of `make grades`."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks._results import write
from vitreous.circuits import (
    auroc,
    auroc_by_chance,
    average_precision,
    discover,
    evaluate,
    score_at_random,
    score_by_weights,
    score_reversed,
)
from vitreous.models import Graph, Pairs, shipped_models
from vitreous.terrarium import (
    TRAINED_CIRCUITS,
    KnownCircuit,
    compiled_models,
    trained_circuit,
)

PAIRS, MAX_BATCH = 16, 256
FOUND_ON, GRADED_ON = 0, 1  # seeds of the pairs
N_EXPLAINED = 8  # the methods, from the first on, whose mistakes are listed
Method = Callable[[KnownCircuit, Pairs], Graph]


def main() -> None:
    graded = {item.name: graded_methods(item) for item in known_models()}
    areas = [
        {
            "method": method,
            **{name: f"{rows[method]['AUROC']:.3f}" for name, rows in graded.items()},
        }
        for method in METHODS
    ]
    about = f"found on {PAIRS} pairs, areas on {PAIRS} others"
    tables = {
        "Area under the ROC curve, by method and model": areas,
        **{f"{name}: {about}": shown(rows) for name, rows in graded.items()},
        "What is ranked wrongly": [*wrong(graded)],
    }
    write("circuit_leaderboard", tables, ("xarray",))


def known_models() -> Iterator[KnownCircuit]:
    """The compiled models, and those of the trained ones that are shipped."""
    yield from compiled_models()
    shipped = shipped_models()
    yield from (trained_circuit(name) for name in TRAINED_CIRCUITS if f"circuit-{name}" in shipped)


def graded_methods(item: KnownCircuit) -> dict[str, dict[str, Any]]:
    found_on, graded_on = (
        Pairs.of(item.model, *item.pairs(PAIRS, seed), item.target)
        for seed in (FOUND_ON, GRADED_ON)
    )
    return {name: row(item, method, found_on, graded_on) for name, method in METHODS.items()}


def row(item: KnownCircuit, method: Method, found_on: Pairs, graded_on: Pairs) -> dict[str, Any]:
    start = time.process_time()
    found = method(item, found_on)
    seconds = time.process_time() - start
    chance = auroc_by_chance(found, item.graph).numpy()
    areas = evaluate(found, graded_on, max_batch=MAX_BATCH)
    low, high = np.quantile(chance, (0.025, 0.975))
    return {
        "AUROC": auroc(found, item.graph),
        "precision": average_precision(found, item.graph),
        "control": f"{chance.mean():.3f} ({low:.3f} .. {high:.3f})",
        **{name: float(areas[name]) for name in ("cmd", "cpr", "cmd_log")},
        "seconds": seconds,
        "wrong": misplaced(found, item.graph),
    }


def discovered(
    item: KnownCircuit, pairs: Pairs, *, method: str, turned: bool, **options: Any
) -> Graph:
    halves = (pairs.corrupt, pairs.clean) if turned else (pairs.clean, pairs.corrupt)
    size = {} if method == "edge-pruning" else {"max_batch": MAX_BATCH}
    return discover(item.model, *halves, item.target, method, **size, **options)


def searched(method: str, *, turned: bool = False, **options: Any) -> Method:
    return partial(discovered, method=method, turned=turned, **options)


# ACDC takes edges out of the clean run. Of exchanged pairs, that run is the corrupt one, and what
# is taken out becomes clean: denoising.
METHODS: dict[str, Method] = {
    "EAP": searched("eap"),
    "EAP-IG": searched("eap-ig"),
    "EAP-IG, activations": searched("eap-ig-activations"),
    "nodes": searched("nodes"),
    "exact, noise": searched("exact"),
    "exact, denoise": searched("exact", direction="denoise"),
    "ACDC, noise": searched("acdc", metric="target"),
    "ACDC, denoise": searched("acdc", turned=True, metric="target"),
    "edge pruning": searched("edge-pruning"),
    "the truth itself": lambda item, _: item.graph.scored(item.graph.included.double()),
    "at random, once": lambda item, _: score_at_random(item.graph),
    "weight norms": lambda item, _: score_by_weights(item.model, item.graph),
    "EAP-IG, reversed": lambda item, pairs: score_reversed(METHODS["EAP-IG"](item, pairs)),
}


def shown(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table of one model."""
    digits = {"AUROC": 3, "precision": 3, "cmd": 3, "cpr": 3, "cmd_log": 3, "seconds": 2}
    titles = {"precision": "average precision", "cmd": "CMD", "cpr": "CPR", "cmd_log": "CMD, log"}
    return [
        {"method": method}
        | {
            titles.get(name, name): f"{value:.{digits[name]}f}" if name in digits else value
            for name, value in each.items()
            if name != "wrong"
        }
        for method, each in rows.items()
    ]


def misplaced(found: Graph, true: Graph) -> tuple[list[str], list[str]]:
    """True edges that some false one reaches, and false ones that reach some true one."""
    scores = found.require_scores().abs()
    is_false = true.possible & ~true.included
    low = true.included & (scores <= scores[is_false].max())
    high = is_false & (scores >= scores[true.included].min())
    return names_of(found.including(low)), names_of(found.including(high))


def names_of(graph: Graph) -> list[str]:
    return [str(edge) for edge in graph.edges()]


def wrong(graded: dict[str, dict[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for name, rows in graded.items():
        for method in list(METHODS)[:N_EXPLAINED]:
            low, high = rows[method]["wrong"]
            if low:
                yield {
                    "model": name,
                    "method": method,
                    "true edges that don't stand above all others": ", ".join(low),
                    "false ones not below all true ones": len(high),
                }


if __name__ == "__main__":
    main()
