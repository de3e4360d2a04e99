"""How many sets of edges of `terrarium-4l` run in a second, stacked and one by one."""

from collections.abc import Callable
from itertools import islice

import torch
from torch import Tensor

import vitreous as vt
from benchmarks._hooked_sets import HookedSets
from benchmarks._results import Rows, write
from benchmarks._timing import compare
from vitreous.circuits import MaskedRuns
from vitreous.models import Graph, Pairs
from vitreous.terrarium import Task, counterfactual, render

N_PAIRS, N_SETS, ROUNDS = 16, 16, 5
AT_LEAST = 3.0


def main() -> None:
    pairs = drawn()
    graph = Graph.of(pairs.model)
    with torch.no_grad():
        rows = [row for name, sets in SETS.items() for row in compared(pairs, graph, name, sets)]
    title = f"Sets of edges of terrarium-4l on {N_PAIRS} pairs, {N_SETS} sets at a time"
    write("edge_sets", {title: rows}, packages=())


def compared(pairs: Pairs, graph: Graph, name: str, draw: Callable[[Graph], Tensor]) -> Rows:
    """Stacked against both readings of one pass per set, in turn in one process."""
    sets = draw(graph)
    runs = MaskedRuns(pairs, graph)
    together = HookedSets(pairs, graph)
    alone = [HookedSets(pairs.at(slice(i, i + 1)), graph) for i in range(len(pairs))]
    ways: dict[str, Callable[[], object]] = {
        "one hooked pass of all pairs": lambda: [together.logits(each[0]) for each in sets],
        "a hooked pass of each pair": lambda: [
            own.logits(each[0]) for each in sets for own in alone
        ],
    }
    rows = []
    for way, naive in ways.items():
        timed = compare(lambda: runs.logits(sets), naive, ROUNDS)
        low, high = timed.spread
        rows.append(
            {
                "sets": name,
                "for each set": way,
                "times as many": f"{1 / timed.ratio:.2f}",
                "quartiles": f"{1 / high:.2f} to {1 / low:.2f}",
                "stacked": f"{len(sets) / timed.ours:.1f} per second",
                "hooked": f"{len(sets) / timed.theirs:.1f} per second",
                "must be at least": AT_LEAST,
            }
        )
    return rows


def random_sets(graph: Graph) -> Tensor:
    """Circuits of all sizes, by chance."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.linspace(0.02, 0.98, N_SETS).view(-1, 1, 1, 1)
    return torch.rand(N_SETS, *graph.possible.shape, generator=generator) < shares


def without_one(graph: Graph) -> Tensor:
    """All edges but one, from all over the graph."""
    edges = graph.possible.permute(2, 0, 1).nonzero()[:, [1, 2, 0]]
    edges = edges[torch.linspace(0, len(edges) - 1, N_SETS).long()]
    sets = graph.possible.repeat(N_SETS, 1, 1, 1)
    sets[(torch.arange(N_SETS), *edges.T)] = False
    return sets


SETS = {"random circuits": random_sets, "all edges but one": without_one}


def drawn() -> Pairs:
    """Scenes with a cat, and the same ones with a dog in its place."""
    model, task = vt.load("terrarium-4l"), Task("kinds", "validation")
    cat = task.class_names.names.index("cat")
    every = (task.scene(index) for index in range(len(task)))
    scenes = list(islice((scene for scene in every if task.label(scene) == cat), N_PAIRS))
    dogs = [counterfactual(scene, kind="dog") for scene in scenes]
    clean, corrupt = (
        model.preprocess([render(scene).image for scene in each]) for each in (scenes, dogs)
    )
    return Pairs.of(model, clean, corrupt, model.target("cat", minus="dog"))


if __name__ == "__main__":
    main()
