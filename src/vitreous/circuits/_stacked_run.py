"""One forward pass of many sets of edges, stacked along the batch."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.circuits._attending import attended
from vitreous.circuits._live_differences import LiveDifferences
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
        self.in_graph = torch.is_grad_enabled() and removed.requires_grad
        self.differs = False  # from the clean run, so far
        self.differs_in_stream = False
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
        self.differs_in_stream = self.differs
        if block.mlp is None:
            return
        reads, norm = (entering, block.ln1) if block.parallel else (self.stream, block.ln2)
        column = self.shape.destinations_of(layer).stop
        self.differs |= bool(self.has_own[:, column].any())
        written = _by_rows(block.mlp, _normalized(norm, self._input(reads, column)))
        self.stream = self.stream + written
        self.differs_in_stream = self.differs
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
        sets, columns, where = self._different(sets, column + heads)
        heads = (columns - column).to(self.stream.device)
        read = _normalized(block.ln1, self._inputs(self.stream, sets, columns, at_read))
        projected = read.flatten(1, 2) @ block.attn.weight(letter)[heads]
        if block.attn.qkv.bias is not None:
            projected = projected + block.attn.bias(letter)[heads, None]
        projected = projected.unflatten(1, read.shape[1:3])
        return projected if where is None else projected[where]

    def _different(
        self, sets: Int[Tensor, " destinations"], columns: Int[Tensor, " destinations"]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Destinations that read different inputs, and which of them stands for each.

        As long as all sets share a stream, two sets that remove the same edges read the same.
        """
        if self.differs_in_stream or self.in_graph:
            return sets, columns, None
        removed = self.removed[sets, :, :, columns].flatten(1)
        keys = torch.cat([columns[:, None].to(removed), removed], 1)
        different, where = keys.unique(dim=0, return_inverse=True)
        first = torch.full((len(different),), len(sets), device=where.device)
        first = first.scatter_reduce(0, where, torch.arange(len(sets)).to(where), "amin").cpu()
        return sets[first], columns[first], where

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
        recorded = self.recorded
        at_once = stream if not at_read or self.at_read else recorded.tokens_read(stream)
        places = recorded.places_read if at_read else recorded.places
        if self.live is None:
            return self._from_shared(at_once, sets, columns, at_read)
        weights = self._weights(sets, columns, slice(self.n_written))
        values = self.live.behind(stream)
        counts = sets.bincount(minlength=len(self.removed)).tolist()
        parts = []
        for place, own in enumerate(weights.split(counts)):
            if len(own):
                value = values[place]
                value = recorded.tokens_read(value) if at_read and not self.at_read else value
                parts.append(places.weighed(own, value))
        return torch.cat(parts)

    def _from_shared(
        self, stream: Tensor, sets: Tensor, columns: Tensor, at_read: bool
    ) -> Float[Tensor, "destinations batch positions d_model"]:
        """What destinations read from sources that are as in the clean run."""
        recorded = self.recorded
        shared = recorded.differences_read if at_read else recorded.differences
        places = recorded.places_read if at_read else recorded.places
        [used] = self.touched[sets, :, :, columns].any(0).any(0).nonzero(as_tuple=True)
        weights = self._weights(sets, columns, used)
        if len(stream) == 1:
            return places.weighed(weights, torch.cat([stream, shared[used.to(stream.device)]]))
        base = stream[sets.to(stream.device)]
        return base + places.weighed(weights[..., 1:], shared[used.to(stream.device)])

    def _weights(
        self, sets: Tensor, columns: Tensor, used: Tensor | slice
    ) -> Float[Tensor, "destinations groups sources"]:
        """What is taken of the stream, which is all of it, and of each difference."""
        device = self.stream.device
        removed = self.removed[sets.to(device), :, :, columns.to(device)]
        removed = removed[..., used if isinstance(used, slice) else used.to(device)]
        return torch.cat([torch.ones_like(removed[..., :1]), removed], -1)

    def _note(self, count: int, differences: Callable[[], Tensor]) -> None:
        """Keeps by how much the next sources differ, where they do and a set removes some."""
        first, self.n_written = self.n_written, self.n_written + count
        if not self.differs:
            return
        if self.live is None:
            if not self.touched[:, :, first:].any():
                return
            recorded = self.recorded
            shared = recorded.differences_read if self.at_read else recorded.differences
            sizes = len(self.removed), len(self.shape.sources)
            self.live = LiveDifferences(shared[:first], *sizes, in_graph=self.in_graph)
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
