"""What edges carry times what their destinations' gradients say of it, summed over tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.circuits._backward import BlockGradients, block_gradients, readout_gradient
from vitreous.circuits._base_runs import BaseRuns, Part
from vitreous.models import Attention, GraphShape, Norm

# Numbers that stand in memory at once: what all sources wrote at some tokens, and what the heads
# of one block read there.
_AT_ONCE = 2**23


@dataclass(frozen=True)
class _Reading:
    """The gradients of a block at what its parts read, and the stream that they are of."""

    layer: int
    stream: Float[Tensor, "batch tokens d_model"]
    projected: tuple[Float[Tensor, "batch tokens heads d_head"], ...]
    mlp: Float[Tensor, "batch tokens d_model"] | None


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

    def add(
        self,
        streams: Sequence[Float[Tensor, "batch tokens d_model"]],
        parts: Sequence[Part],
        *,
        weight: float = 1.0,
        hooks: Sequence = (),
    ) -> None:
        """Adds the scores at one point.

        Args:
            streams: What enters the last blocks at that point, and what leaves the last one.
            parts: The sources whose edges are meant, in forward order, one after the other.
            weight: Of this point.
            hooks: Of the run that the streams are of.
        """
        runs = self.runs
        readout = readout_gradient(runs.target, streams[-1], runs.layout)
        blocks = block_gradients(runs.model, streams, readout, runs.layout, hooks)
        self._multiply([_reading(block) for block in blocks], readout, parts, weight)

    @torch.no_grad()
    def _multiply(
        self,
        readings: Sequence[_Reading],
        readout: Float[Tensor, "batch tokens d_model"],
        parts: Sequence[Part],
        weight: float,
    ) -> None:
        first = parts[0].where.start
        for place, rows in self._rows():
            written = self.runs.written(parts, rows)
            scores = self.scores[place, first : first + len(written)]
            for columns, count, gradient in self._read(readings, readout, rows, first):
                given = written[: max(count, 0)]
                if len(given):
                    product = given.flatten(1) @ gradient.flatten(1).T
                    scores[: len(given), columns] += weight * product.cpu().double()

    def _rows(self) -> Iterator[tuple[int, Int[Tensor, " positions"]]]:
        """The tokens of each group, some at a time."""
        most = len(self.shape.sources) + 3 * self.shape.n_heads
        size = max(_AT_ONCE // (most * self.runs.model.cfg.d_model), 1)
        for place in range(len(self.scores)):
            for rows in (self.group == place).nonzero().flatten().split(size):
                yield place, rows

    def _read(
        self,
        readings: Sequence[_Reading],
        readout: Float[Tensor, "batch tokens d_model"],
        rows: Int[Tensor, " positions"],
        first: int,
    ) -> Iterator[tuple[slice, int, Float[Tensor, "destinations positions d_model"]]]:
        """Destinations, how many of the sources from `first` on they read, and their gradients."""
        shape, dtype = self.shape, torch.promote_types(readout.dtype, torch.float32)
        every = len(shape.destinations)
        yield (
            slice(every - 1, every),
            len(shape.sources) - first,
            _at(readout, rows)[None].to(dtype),
        )
        for reading in readings:
            heads = shape.source_of(reading.layer)
            columns = shape.destinations_of(reading.layer)
            block = self.runs.model.blocks[reading.layer]
            yield columns, heads.start - first, _by_heads(block.attn, block.ln1, reading, rows)
            if reading.mlp is not None:
                before = heads.start if shape.parallel else heads.stop
                column = slice(columns.stop, columns.stop + 1)
                yield column, before - first, _at(reading.mlp, rows)[None].to(dtype)


def _reading(block: BlockGradients) -> _Reading:
    """Without what only sums over destinations need."""
    return _Reading(block.layer, block.stream, block.projected, block.mlp)


def _by_heads(
    attn: Attention, norm: Norm | None, reading: _Reading, rows: Int[Tensor, " positions"]
) -> Float[Tensor, "destinations positions d_model"]:
    """The gradients at the inputs of all heads' queries, then keys, then values."""
    dtype = torch.promote_types(reading.stream.dtype, torch.float32)
    projected = torch.cat([_at(each, rows) for each in reading.projected], 1).to(dtype)
    weight = torch.cat([attn.weight(letter) for letter in "qkv"]).to(dtype)
    behind_norm = torch.bmm(projected.transpose(0, 1), weight.transpose(1, 2))
    if norm is None:
        return behind_norm
    return _through_norm(norm, behind_norm, _at(reading.stream, rows).to(dtype))


def _through_norm(
    norm: Norm,
    behind: Float[Tensor, "destinations positions d_model"],
    x: Float[Tensor, "positions d_model"],
) -> Float[Tensor, "destinations positions d_model"]:
    """`norm.gradient(behind, x)`, in the memory of `behind`."""
    scale = norm.scale(x)
    divided = norm.centered(x) / scale
    if norm.w is not None:
        behind *= norm.w
    if norm.centers:
        behind -= behind.mean(-1, keepdim=True)
    along = torch.einsum("dpm,pm->dp", behind, divided) / norm.width
    behind.addcmul_(divided.expand_as(behind), along[..., None], value=-1)
    return behind.div_(scale)


def _at(values: Tensor, rows: Int[Tensor, " positions"]) -> Tensor:
    return values.flatten(0, 1)[rows]
