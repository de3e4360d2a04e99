"""A set of edges as a user of hooks would run it: one forward pass with inputs of their own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vitreous.models import Graph, HookedViT, Pairs

Hooks = list[tuple[str, Callable[[Tensor, Any], Tensor | None]]]


class HookedSets:
    """Runs one set at a time; what sources write in the corrupt run is recorded before."""

    def __init__(self, pairs: Pairs, graph: Graph) -> None:
        self.pairs, self.graph = pairs, graph
        self.model: Any = pairs.model
        _, cache = self.model.run_with_cache(pairs.corrupt, names_filter=list(_written(self.model)))
        parts = [_by_source(cache[name]) for name in _written(self.model)]
        self.corrupt = torch.cat(parts)
        self.lacks = torch.empty_like(self.corrupt)

    def logits(self, keep: Tensor) -> Tensor:
        """The output with one set, `[sources, destinations]`."""
        self.removed = (~keep & self.graph.possible[0]).to(self.corrupt)
        self.n_written = 0
        return self.model.run_with_hooks(self.pairs.clean, fwd_hooks=self._hooks())

    def _hooks(self) -> Hooks:
        graph, n_heads = self.graph, self.model.cfg.n_heads
        hooks: Hooks = [(name, self._note) for name in _written(self.model)]
        for layer in range(self.model.cfg.n_layers):
            first = graph.shape.destinations_of(layer)
            for place, letter in enumerate("qkv"):
                start = first.start + place * n_heads
                name = f"blocks.{layer}.hook_{letter}_input"
                hooks.append((name, self._reader(slice(start, start + n_heads))))
            hooks.append((f"blocks.{layer}.hook_mlp_in", self._reader(first.stop)))
        last = f"blocks.{self.model.cfg.n_layers - 1}.hook_resid_post"
        return [*hooks, (last, self._reader(len(graph.destinations) - 1))]

    def _note(self, value: Tensor, hook: Any) -> None:
        new = _by_source(value)
        where = slice(self.n_written, self.n_written + len(new))
        self.lacks[where] = self.corrupt[where] - new
        self.n_written = where.stop

    def _reader(self, columns: slice | int) -> Callable[[Tensor, Any], Tensor]:
        def read(value: Tensor, hook: Any) -> Tensor:
            weights = self.removed[: self.n_written, columns]
            added = weights.reshape(self.n_written, -1).T @ self.lacks[: self.n_written].flatten(1)
            added = added.unflatten(1, self.lacks.shape[1:])
            return value + (added[0] if isinstance(columns, int) else added.movedim(0, 2))

        return read


def _written(model: HookedViT) -> list[str]:
    names = ["blocks.0.hook_resid_pre"]
    for layer in range(model.cfg.n_layers):
        names += [f"blocks.{layer}.attn.hook_result", f"blocks.{layer}.hook_mlp_out"]
    return names


def _by_source(value: Tensor) -> Tensor:
    """`[sources, pairs, tokens, d_model]` of what a head each, or one part, has written."""
    return value.movedim(2, 0) if value.ndim == 4 else value[None]
