"""What area under the ROC curve scores have without knowing which edges are the true ones."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.circuits._auroc import auroc
from vitreous.models import Graph, layer_of


def auroc_by_chance(
    found: Graph, true: Graph, *, count: int = 50, seed: int = 0, absolute: bool = True
) -> Float[Tensor, " sets"]:
    """The same area when other edges, of the same sorts as the true ones, are called true.

    A method that only knew that, say, inputs of MLPs matter more than queries would have a good
    area on a graph whose true edges are such inputs, and as good a one here. Edges are of one sort
    if their destinations stand in the same block and are of the same kind (queries, keys, values,
    an MLP, or the readout), and their sources are of the same kind (the input, a head, or an
    MLP), in the same group of tokens. Within each sort, which edges are true is drawn anew; how
    many stays. Where a sort has one edge only, or all are true, nothing can change: the area is
    then above 0.5 for a good method, and drawn truth may be the truth itself.

    Args:
        found: A graph with scores.
        true: The graph whose included edges are the true ones.
        count: How often truth is drawn.
        seed: Of the drawing.
        absolute: As in `auroc`.

    Returns:
        One area per drawn truth. A method that knows the circuit lies above nearly all of them.

    Raises:
        ValueError: As `auroc`.
    """
    auroc(found, true, absolute=absolute)
    generator = torch.Generator().manual_seed(seed)
    drawn = (_shuffled(true, generator) for _ in range(count))
    return torch.tensor([auroc(found, each, absolute=absolute) for each in drawn])


def _shuffled(true: Graph, generator: torch.Generator) -> Graph:
    included = true.included.clone()
    for sort in _sorts(true):
        order = torch.randperm(int(sort.sum()), generator=generator)
        included[sort] = true.included[sort][order]
    return replace(true, included=included)


def _sorts(graph: Graph) -> Iterator[Bool[Tensor, "groups sources destinations"]]:
    """The edges of each sort."""
    names = [
        (group, source[0], _place(destination))
        for group in graph.groups
        for source in graph.sources
        for destination in graph.destinations
    ]
    for sort in sorted(set(names)):
        of_sort = torch.tensor([each == sort for each in names])
        yield graph.possible & of_sort.view_as(graph.possible)


def _place(destination: str) -> tuple[int, str]:
    """The block of a destination and what it is: `q`, `k` or `v`, `m`, or the readout."""
    if destination == "logits":
        return -1, "logits"
    node, _, letter = destination.partition("<")
    return layer_of(node), letter.strip(">") or "m"
