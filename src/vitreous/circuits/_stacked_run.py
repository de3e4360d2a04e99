"""One forward pass of many sets of edges, stacked along the batch."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.circuits._attending import attended
from vitreous.circuits._live import LiveDifferences
from vitreous.circuits._recorded import Recorded
from vitreous.models import Attention, Norm

_LETTERS = "qkv"


class StackedRun:
    """Runs of one batch of pairs, one for each set of edges, from the first block that differs.

    Streams are `[sets, pairs, tokens, d_model]`; they hold one set as long as all sets are equal
    to the clean run. A destination whose edges are all live reads the stream; each other one
    reads `stream + sum over sources of removed * (stand-in - live)`. Behind the attention of
    the last block, tokens that nobody reads are left out.
    """

    def __init__(
        self,
        recorded: Recorded,
        removed: Float[Tensor, "sets groups sources destinations"],
        touched: Bool[Tensor, "sets groups sources destinations"],
    ) -> None:
        """Of the edges that are removed, or are to be differentiated by, `touched` says which."""
        self.recorded, self.shape = recorded, recorded.shape
        self.removed, self.touched = removed, touched
        self.has_own = touched.any(1).any(1)
        self.first = min([*first_layers(self.has_own, recorded), self.shape.n_layers])
        self.stream = recorded.streams[self.first][None]
        self.n_written = self._source_in_front(self.first)
        self.differs = False  # from the clean run, so far
        self.live: LiveDifferences | None = None
        self.at_read = False  # whether tokens that nobody reads have been left out

    def logits(self) -> Float[Tensor, "sets batch *tokens labels"]:
        """The output of each set."""
        n_sets, clean = len(self.removed), self.recorded.logits
        if not self.has_own.any():
            return clean.expand(n_sets, *clean.shape)
        for layer in range(self.first, self.shape.n_layers):
            self._pass(layer)
        self._leave_out_unread()
        return self._read_out(self._input(self.stream, len(self.shape.destinations) - 1))

    def _pass(self, layer: int) -> None:
        block: Any = self.recorded.model.blocks[layer]
        entering, added = self._attention(block, layer)
        self.stream = entering + added
        if block.mlp is None:
            return
        reads, norm = (entering, block.ln1) if block.parallel else (self.stream, block.ln2)
        column = self.shape.destinations_of(layer).stop
        self.differs |= bool(self.has_own[:, column].any())
        written = _by_rows(block.mlp, _normalized(norm, self._input(reads, column)))
        self.stream = self.stream + written
        stand_in = self.recorded.stands_in.mlps
        assert stand_in is not None
        here = self._here(stand_in[layer])
        self._note(1, lambda: (here - written)[:, None])

    def _attention(self, block: Any, layer: int) -> tuple[Tensor, Tensor]:
        """The stream that enters, and what attention adds to it."""
        z = self._z(block, layer)
        stand_in = self.recorded.stands_in.z[layer]
        if layer == self.shape.n_layers - 1:
            self._leave_out_unread()
            stand_in = self._here(stand_in.transpose(1, 2)).transpose(1, 2)
        attention: Attention = block.attn

        def differences() -> Tensor:
            lacks = _by_rows(lambda rows: attention.results(rows, {}), stand_in - z)
            return lacks.movedim(3, 1)

        self._note(self.shape.n_heads, differences)
        return self.stream, _by_rows(attention.write, z)

    def _z(self, block: Any, layer: int) -> Float[Tensor, "sets batch positions heads d_head"]:
        columns, n_heads = self.shape.destinations_of(layer), self.shape.n_heads
        self.differs |= bool(self.has_own[:, columns].any())
        shared = _normalized(block.ln1, self.stream)
        is_last = layer == self.shape.n_layers - 1
        values = [
            self._projected(block, letter, columns.start + place * n_heads, shared, is_last)
            for place, letter in enumerate(_LETTERS)
        ]
        n_sets = max(len(each) for each in values)
        rows = [each.expand(n_sets, *each.shape[1:]).flatten(0, 1) for each in values]
        hidden = self.recorded.layout_of(n_sets).hidden
        read = self.recorded.read if is_last else None
        z = attended(block.attn, rows[0], rows[1], rows[2], read, hidden)
        return z.unflatten(0, (n_sets, -1))

    def _projected(
        self, block: Any, letter: str, column: int, shared: Tensor, is_last: bool
    ) -> Float[Tensor, "sets batch positions heads d_head"]:
        """Queries, keys or values; of the last block queries of the tokens that are read."""
        at_read = is_last and letter == "q"
        shared = self.recorded.tokens_read(shared) if at_read else shared
        owns = self.has_own[:, column : column + self.shape.n_heads]
        attention: Attention = block.attn
        if not owns.any():
            return _by_rows(lambda rows: attention.project_one(letter, rows), shared)
        own = self._own_projections(block, letter, column, owns, at_read)
        if owns.all():
            return own.unflatten(0, owns.shape).movedim(1, 3)
        plain = _by_rows(lambda rows: attention.project_one(letter, rows), shared).movedim(3, 1)
        plain = plain.expand(len(owns), *plain.shape[1:])
        places = tuple(each.to(own.device) for each in owns.nonzero(as_tuple=True))
        return plain.index_put(places, own).movedim(1, 3)

    def _own_projections(
        self, block: Any, letter: str, column: int, owns: Bool[Tensor, "sets heads"], at_read: bool
    ) -> Float[Tensor, "destinations batch positions d_head"]:
        """Those of the heads that read an input of their own, one after the other."""
        sets, heads = owns.nonzero(as_tuple=True)
        inputs = self._inputs(self.stream, sets, column + heads, at_read)
        read = _normalized(block.ln1, inputs)
        heads = heads.to(read.device)
        projected = read.flatten(1, 2) @ block.attn.weight(letter)[heads]
        if block.attn.qkv.bias is not None:
            projected = projected + block.attn.bias(letter)[heads, None]
        return projected.unflatten(1, read.shape[1:3])

    # ---- what destinations read

    def _input(
        self, stream: Float[Tensor, "#sets batch positions d_model"], column: int
    ) -> Float[Tensor, "sets batch positions d_model"]:
        """What one destination reads in every set."""
        if not self.has_own[:, column].any():
            return stream
        sets = torch.arange(len(self.has_own))
        columns = torch.full_like(sets, column)
        return self._inputs(stream, sets, columns, self.at_read)

    def _inputs(
        self,
        stream: Float[Tensor, "sets batch tokens d_model"],
        sets: Int[Tensor, " destinations"],
        columns: Int[Tensor, " destinations"],
        at_read: bool,
    ) -> Float[Tensor, "destinations batch positions d_model"]:
        """What destinations read, each in one set; sets ascend."""
        recorded, device = self.recorded, stream.device
        stream = recorded.tokens_read(stream) if at_read and not self.at_read else stream
        shared = recorded.differences_read if at_read else recorded.differences
        places = recorded.places_read if at_read else recorded.places
        end = self.n_written if self.live is None else self.live.first
        weights = self.removed[sets.to(device), :, :, columns.to(device)]
        base = stream if len(stream) == 1 else stream[sets.to(device)]
        base = places.added(base, weights[..., :end], shared[:end])
        if self.live is None:
            return base
        counts = sets.bincount(minlength=len(self.removed)).tolist()
        weights = weights[..., end : self.n_written]
        own = zip(base.split(counts), weights.split(counts), strict=True)
        parts = [
            places.added(each, weight, self._own_differences(place, at_read))
            for place, (each, weight) in enumerate(own)
            if len(each)
        ]
        return torch.cat(parts)

    def _own_differences(self, place: int, at_read: bool) -> Tensor:
        assert self.live is not None
        values = self.live.of_set(place)
        return self.recorded.tokens_read(values) if at_read and not self.at_read else values

    def _note(self, count: int, differences: Callable[[], Tensor]) -> None:
        """Keeps by how much the next sources differ, where they do and a set removes some."""
        first, self.n_written = self.n_written, self.n_written + count
        if not self.differs:
            return
        if self.live is None:
            if not self.touched[:, :, first:].any():
                return
            shape = (len(self.removed), len(self.shape.sources) - first, *self.stream.shape[1:])
            in_graph = self.removed.requires_grad
            self.live = LiveDifferences(first, shape, self.stream, in_graph=in_graph)
        self.live.append(differences())

    def _leave_out_unread(self) -> None:
        if self.at_read:
            return
        self.at_read = True
        self.stream = self.recorded.tokens_read(self.stream)
        if self.live is not None and self.recorded.read is not None:
            self.live.keep_tokens(self.recorded.read)

    def _here(self, x: Tensor) -> Tensor:
        return self.recorded.tokens_read(x) if self.at_read else x

    def _read_out(self, x: Float[Tensor, "sets batch positions d_model"]) -> Tensor:
        """The output, from the tokens that it reads."""
        recorded = self.recorded
        layout = recorded.layout_of(len(x))
        if recorded.read is not None:
            whole = x.new_zeros(*x.shape[:2], layout.n_tokens, x.shape[-1])
            whole[..., recorded.read, :] = x
            x = whole
        model: Any = recorded.model
        logits = model(x.flatten(0, 1), start_at_layer=self.shape.n_layers, layout=layout)
        return logits.unflatten(0, x.shape[:2])

    def _source_in_front(self, layer: int) -> int:
        is_behind = layer == self.shape.n_layers
        return len(self.shape.sources) if is_behind else self.shape.source_of(layer).start


def first_layers(has_own: Bool[Tensor, "sets destinations"], recorded: Recorded) -> list[int]:
    """The first block of each set in which a destination reads an input of its own."""
    shape = recorded.shape
    ends = torch.tensor(
        [shape.destinations_of(layer).stop + shape.has_mlps for layer in range(shape.n_layers)]
    )
    n_destinations = has_own.shape[1]
    columns = torch.arange(n_destinations).expand_as(has_own)
    first = columns.masked_fill(~has_own, n_destinations).amin(1)
    return torch.searchsorted(ends, first, right=True).tolist()


def _normalized(norm: Norm | None, x: Tensor) -> Tensor:
    return x if norm is None else norm.fused(x)


def _by_rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of a batch, on stacked batches."""
    return function(x.flatten(0, 1)).unflatten(0, x.shape[:2])
