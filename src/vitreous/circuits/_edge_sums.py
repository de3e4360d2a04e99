"""What edges carry times what their destinations' gradients say of it, summed over tokens."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.circuits._base_runs import BaseRuns, Part
from vitreous.circuits._stream_gradients import BlockGradients, StreamGradients
from vitreous.models import Attention, GraphShape, Norm

# Numbers that stand in memory at once: what all sources wrote at some tokens, and what some blocks
# read there.
_AT_ONCE = 6 * 2**20
# Destinations that a matrix product takes at once, so that it is worth calling one.
_ENOUGH = 128


class EdgeSums:
    """Adds up scores of edges for some pairs, one block of destinations at a time.

    Where all heads read one stream, the gradient at the input of head h alone is that of the norm,
    taken back from `W_Q[h]` times the gradient at its queries; so a plain backward pass has all
    that splitting inputs by head would give. It is spread out for some tokens and one block at a
    time, sorted by group, and multiplied with what the sources wrote there.

    Args:
        runs: Of some pairs.
        group: The group of each token of each pair.
        n_groups: How many there are.
    """

    def __init__(self, runs: BaseRuns, group: Int[Tensor, "batch tokens"], n_groups: int) -> None:
        self.runs = runs
        self.shape = GraphShape.of(runs.model)
        ends = (len(self.shape.sources), len(self.shape.destinations))
        self.scores = torch.zeros(n_groups, *ends, dtype=torch.float64)
        self.group = group.flatten().to(runs.streams[0].device)

    @torch.no_grad()
    def add(
        self, gradients: StreamGradients, parts: Sequence[Part], *, weight: float = 1.0
    ) -> None:
        """Adds the scores by the gradients of one run.

        Args:
            gradients: From the last blocks of a run.
            parts: The sources whose edges are meant, in forward order, one after the other.
            weight: Of this run.
        """
        norm = self.runs.model.blocks[0].ln1
        for place, rows in self._rows():
            written = self.runs.written(parts, rows)
            readout = _at(gradients.readout, rows)[None]
            self._tally(place, parts, weight * _dot(written, readout), -1)
            # All that is left to read is behind norms of one kind, which see no mean.
            if norm is not None and norm.centers:
                written -= written.mean(-1, keepdim=True)
            for blocks in self._together(gradients.blocks, parts[0]):
                read = self._read(blocks, rows, written)
                before = self.shape.source_of(blocks[0].layer).stop - parts[0].where.start
                first = self.shape.destinations_of(blocks[-1].layer).start
                self._tally(place, parts, weight * _dot(written[:before], read), first)

    def _tally(
        self,
        place: int,
        parts: Sequence[Part],
        products: Float[Tensor, "sources destinations"],
        column: int,
    ) -> None:
        row = parts[0].where.start
        here = self.scores[place, row : row + len(products)]
        here[:, column:][:, : products.shape[1]] += products

    def _rows(self) -> Iterator[tuple[int, Int[Tensor, " positions"]]]:
        """The tokens of each group, some at a time."""
        most = len(self.shape.sources) + self._n_together * self._n_destinations
        size = max(_AT_ONCE // (most * self.runs.model.cfg.d_model), 1)
        for place in range(len(self.scores)):
            for rows in (self.group == place).nonzero().flatten().split(size):
                yield place, rows

    @property
    def _n_destinations(self) -> int:
        """Of a block."""
        return 3 * self.shape.n_heads + self.shape.has_mlps

    @property
    def _n_together(self) -> int:
        """Blocks whose destinations are multiplied at once."""
        return max(_ENOUGH // self._n_destinations, 1)

    def _together(self, blocks: list[BlockGradients], part: Part) -> Iterator[list[BlockGradients]]:
        """Neighbors, the last ones first, of those that read what `part` and later ones wrote."""
        reading = [block for block in blocks if block.layer >= part.layer]
        for start in range(0, len(reading), self._n_together):
            yield reading[start : start + self._n_together]

    def _read(
        self,
        blocks: list[BlockGradients],
        rows: Int[Tensor, " positions"],
        written: Float[Tensor, "sources positions d_model"],
    ) -> Float[Tensor, "destinations positions d_model"]:
        """The gradients at all destinations of neighboring blocks, in forward order."""
        count, n_heads = self._n_destinations, 3 * self.shape.n_heads
        out = written.new_empty((count * len(blocks), *written.shape[1:]))
        for own, block in zip(out.split(count), reversed(blocks), strict=True):
            module = self.runs.model.blocks[block.layer]
            _by_heads(module.attn, module.ln1, block, rows, own[:n_heads])
            if block.mlp is not None:
                own[n_heads] = _at(block.mlp, rows)
        return out


def _dot(
    written: Float[Tensor, "sources positions d_model"],
    gradients: Float[Tensor, "destinations positions d_model"],
) -> Float[Tensor, "sources destinations"]:
    products = written.flatten(1) @ gradients.to(written).flatten(1).T
    return products.cpu().double()


def _by_heads(
    attn: Attention,
    norm: Norm | None,
    block: BlockGradients,
    rows: Int[Tensor, " positions"],
    out: Float[Tensor, "destinations positions d_model"],
) -> None:
    """The gradients at the inputs of all heads' queries, then keys, then values.

    `norm.gradient` of all of them but for the mean of each, which what is centered doesn't read.
    """
    projected = torch.cat([_at(each, rows) for each in block.projected], 1).to(out)
    weight = attn.qkv.weight.to(out)
    by_head = weight.view(len(out), -1, weight.shape[1])
    if norm is None:
        torch.bmm(projected.transpose(0, 1), by_head, out=out)
        return
    x = _at(block.stream, rows).to(out)
    scale = norm.scale(x)
    divided = norm.centered(x) / scale
    projected /= scale[..., None]
    torch.bmm(projected.transpose(0, 1), by_head, out=out)
    if norm.w is not None:
        out *= norm.w
    # The direction that the scale swallows.
    along = _at(block.along, rows).to(out) / (scale * norm.width)
    out.addcmul_(divided[None], along.T[..., None], value=-1)


def _at(values: Tensor, rows: Int[Tensor, " positions"]) -> Tensor:
    return values.flatten(0, 1)[rows]
