"""Scores of edges and nodes from gradients: first order, and integrated along a path."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.circuits._base_runs import BaseRuns, Part
from vitreous.circuits._edge_sums import EdgeSums
from vitreous.circuits._stream_gradients import BlockGradients, Hooks, gradients_from
from vitreous.models import Graph, node_of

RULES = ("midpoint", "left")


@dataclass(frozen=True)
class GradientBatch:
    """What a gradient method is given: two runs of some pairs, and how to divide its answer.

    Attributes:
        runs: Of the pairs.
        graph: Whose edges are scored.
        group: The group of each token of each pair.
        steps: Points of an integral.
        rule: Where they lie.
    """

    runs: BaseRuns
    graph: Graph
    group: Int[Tensor, "batch tokens"]
    steps: int
    rule: str

    @property
    def points(self) -> list[float]:
        """From corrupt, 0, to clean, 1."""
        shift = 0.5 if self.rule == "midpoint" else 0.0
        return [(step + shift) / self.steps for step in range(self.steps)]

    def sums(self) -> EdgeSums:
        return EdgeSums(self.runs, self.group, len(self.graph.groups))


EdgeScores = Float[Tensor, "groups sources destinations"]
GradientMethod = Callable[[GradientBatch], EdgeScores]


def eap(batch: GradientBatch) -> EdgeScores:
    """The gradient of the clean run times the difference of what sources wrote."""
    sums = batch.sums()
    sums.add(batch.runs.at_clean, batch.runs.parts)
    return sums.scores


def eap_ig(batch: GradientBatch) -> EdgeScores:
    """The same with gradients averaged between the two inputs."""
    runs, sums = batch.runs, batch.sums()
    for point in batch.points:
        stream = runs.streams[0] - (1 - point) * runs.parts[0].difference
        gradients = gradients_from(runs.target, stream, 0, runs.layout)
        sums.add(gradients, runs.parts, weight=1 / batch.steps)
    return sums.scores


def eap_ig_activations(batch: GradientBatch) -> EdgeScores:
    """The same with gradients averaged between the two outputs of each source's own part."""
    runs, sums = batch.runs, batch.sums()
    for part in runs.parts:
        added = runs.added(part)
        for point in batch.points:
            first, stream, hooks = _moved(runs, part, -(1 - point) * added)
            gradients = gradients_from(runs.target, stream, first, runs.layout, hooks)
            sums.add(gradients, [part], weight=1 / batch.steps)
    return sums.scores


def nodes(batch: GradientBatch) -> EdgeScores:
    """Each edge by the lesser of its two nodes."""
    return from_nodes(batch.graph, node_scores(batch))


@torch.no_grad()
def node_scores(batch: GradientBatch) -> Float[Tensor, "groups sources"]:
    """The gradient where a source has written times the difference of what it wrote.

    Without what each head writes: the gradient is taken in front of the output weight.
    """
    runs = batch.runs
    scores = torch.zeros(len(batch.graph.groups), len(batch.graph.sources), dtype=torch.float64)
    parts = {(part.layer, part.is_heads): part for part in runs.parts}
    for block in runs.at_clean.blocks:
        for part, gradient in _written_in(runs, parts, block):
            scores[:, part.where] = _by_group(part.difference * gradient, batch)
    return scores


def from_nodes(graph: Graph, scores: Float[Tensor, "groups sources"]) -> EdgeScores:
    """Scores of edges: of the two nodes, that of the smaller size; positive if both are.

    So the edges above a threshold are those between nodes above it. The readout is in every
    circuit, and a destination counts with all of its tokens.
    """
    of_node = dict(zip(graph.sources, scores.sum(0).tolist(), strict=True))
    ends = [of_node.get(node_of(name), torch.inf) for name in graph.destinations]
    one, other = scores[:, :, None], scores.new_tensor(ends)
    size = torch.minimum(one.abs(), other.abs())
    return torch.where((one < 0) | (other < 0), -size, size)


def _moved(runs: BaseRuns, part: Part, by: Tensor) -> tuple[int, Tensor, Hooks]:
    """Where to restart, and how, so that a part's output is moved and all else is live."""
    block = runs.model.blocks[max(part.layer, 0)]
    if part.is_heads and block.mlp is not None and not block.parallel:
        name = f"blocks.{part.layer}.hook_attn_out"
        return part.layer, runs.streams[part.layer], [(name, partial(_add, by=by))]
    first = part.layer + 1
    return first, runs.streams[first] + by, ()


def _add(value: Tensor, hook: object, *, by: Tensor) -> Tensor:
    del hook
    return value + by


def _written_in(
    runs: BaseRuns, parts: dict[tuple[int, bool], Part], block: BlockGradients
) -> Iterator[tuple[Part, Tensor]]:
    """The parts of a block, and the gradients at what their differences are of."""
    attn = runs.model.blocks[block.layer].attn
    yield parts[block.layer, True], attn.result_directions(block.behind_heads, {})
    if (block.layer, False) in parts:
        yield parts[block.layer, False], block.behind_mlp
    if block.layer == 0:
        yield parts[-1, False], block.entering


def _by_group(
    products: Float[Tensor, "batch tokens *heads width"], batch: GradientBatch
) -> Float[Tensor, "groups sources"]:
    wide = torch.promote_types(products.dtype, torch.float32)
    rows = products.sum(-1, dtype=wide).flatten(0, 1).cpu().double()
    rows = rows if rows.ndim == 2 else rows[:, None]
    sums = rows.new_zeros(len(batch.graph.groups), rows.shape[1])
    return sums.index_add_(0, batch.group.flatten().cpu(), rows)
