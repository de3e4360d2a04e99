"""What masked runs are made from: one clean run, and what stands in for each source."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.circuits._places import Places
from vitreous.circuits._written import Written, names_written, written_in
from vitreous.models import GlassTransformer, GraphShape, Pairs, within_memory


@dataclass(frozen=True)
class Recorded:
    """A clean run of a batch of pairs, and what its sources lack to what stands in for them.

    Attributes:
        model: Whose run it is.
        shape: Of its graph.
        layout: Where the tokens of the clean inputs are.
        streams: The clean stream in front of each block, and behind the last.
        logits: The clean output.
        stands_in: What a removed edge carries.
        differences: What stands in less what the source wrote in the clean run.
        places: The groups of tokens.
        places_read: The groups of those tokens that are read.
    """

    model: GlassTransformer
    shape: GraphShape
    layout: Any
    streams: Float[Tensor, "layers batch tokens d_model"]
    logits: Float[Tensor, "batch *tokens labels"]
    stands_in: Written
    differences: Float[Tensor, "sources batch tokens d_model"]
    places: Places
    places_read: Places

    @property
    def n_pairs(self) -> int:
        return len(self.logits)

    @cached_property
    def read(self) -> list[int] | None:
        """The tokens that the readout reads; None for all."""
        return tokens_read(self.layout)

    @cached_property
    def differences_read(self) -> Float[Tensor, "sources batch positions d_model"]:
        """`differences` at the tokens that are read."""
        return self.tokens_read(self.differences)

    def tokens_read(self, x: Tensor) -> Tensor:
        """`[..., tokens, d_model]` at the tokens that are read."""
        return x if self.read is None else x[..., self.read, :]

    def layout_of(self, n_sets: int) -> Any:
        """The layout of stacked runs."""
        if self.layout.read is None and self.layout.hidden is None:
            return self.layout
        again = {
            name: None if each is None else each.repeat(n_sets, *[1] * (each.ndim - 1))
            for name, each in (("read", self.layout.read), ("hidden", self.layout.hidden))
        }
        return replace(self.layout, **again)


def record(
    pairs: Pairs,
    stands_in: Written | None,
    index: Int[Tensor, "batch tokens"] | None,
    n_groups: int,
) -> Recorded:
    """Runs a batch of pairs, once clean and, where that stands in, once corrupt."""
    model, shape = pairs.model, GraphShape.of(pairs.model)
    layout: Any = model.layout_for(pairs.clean)
    if stands_in is None:
        _require_same_tokens(layout, model.layout_for(pairs.corrupt))
    names = [f"blocks.{layer}.hook_resid_pre" for layer in range(shape.n_layers)]
    names.append(f"blocks.{shape.n_layers - 1}.hook_resid_post")
    with torch.no_grad(), within_memory(len(pairs)):
        logits, cache = model.run_with_cache(
            pairs.clean, names_filter=[*names_written(model), *names]
        )
        stands_in = (stands_in or written_in(model, pairs.corrupt)).for_each(len(pairs))
        return Recorded(
            model,
            shape,
            layout,
            torch.stack([cache.at(name) for name in names]),
            logits,
            stands_in,
            _differences(model, stands_in, Written.of(cache)),
            *_places(index, tokens_read(layout), n_groups),
        )


def tokens_read(layout: Any) -> list[int] | None:
    """The tokens that the readout reads; None for all, or where images differ in it."""
    read = None if layout.read is not None else layout.select("readout")
    return None if read is None or len(read) == layout.n_tokens else read


def _places(index: Tensor | None, read: list[int] | None, n_groups: int) -> tuple[Places, Places]:
    places = Places.of(index, n_groups)
    if index is None or read is None:
        return places, places
    return places, Places.of(index[:, read], n_groups)


def _differences(
    model: GlassTransformer, other: Written, clean: Written
) -> Float[Tensor, "sources batch tokens d_model"]:
    parts = [(other.input - clean.input)[None]]
    for layer, block in enumerate(model.blocks):
        results = block.attn.results(other.z[layer] - clean.z[layer], {})
        parts.append(results.movedim(2, 0))
        if other.mlps is not None and clean.mlps is not None:
            parts.append((other.mlps[layer] - clean.mlps[layer])[None])
    return torch.cat(parts)


def _require_same_tokens(clean: Any, corrupt: Any) -> None:
    for name in ("read", "hidden"):
        one, other = getattr(clean, name), getattr(corrupt, name)
        if one is not None and not torch.equal(one, other):
            raise ValueError(
                "Clean and corrupt must read and hide the same tokens; got texts that differ in "
                f"`{name}`. Pair texts of one length."
            )
