"""What `over` means: which values of each layer are patched together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.hooks import Site
from vitreous.models import GlassTransformer, Pairs
from vitreous.patching._runs import require_one_of

# Of each kind of node: the point in its block, and what tells the nodes of a layer apart.
_OVER = {
    "heads": ("attn.hook_z", ("head",)),
    "layers": ("hook_resid_pre", ()),
    "mlps": ("hook_mlp_out", ()),
    "positions": ("hook_resid_pre", ("token",)),
    "heads_and_positions": ("attn.hook_z", ("head", "token")),
    "q": ("attn.hook_q", ("head",)),
    "k": ("attn.hook_k", ("head",)),
    "v": ("attn.hook_v", ("head",)),
    "pattern": ("attn.hook_pattern", ("head",)),
    "neurons": ("mlp.hook_post", ("neuron",)),
}


@dataclass(frozen=True)
class Nodes:
    """The nodes of some layers, all of one kind.

    Attributes:
        over: Of which kind.
        layers: Of which blocks.
        dims: What tells the nodes of one block apart.
        sizes: How many there are along each of `dims`.
        tokens: The tokens (queries, of a pattern) whose values are patched.
        axes: What the dimensions of the values count.
    """

    over: str
    layers: list[int]
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    tokens: list[int]
    axes: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Pairs, over: str, layers: Sequence[int] | None, positions: Any) -> "Nodes":
        """The nodes that `over` names."""
        require_one_of("over", over, _OVER)
        cfg = pairs.model.cfg
        if cfg.attn_only and over in ("mlps", "neurons"):
            raise ValueError(
                f"`over={over!r}` needs MLPs; got an attention-only model. Ask for heads."
            )
        dims = _OVER[over][1]
        tokens = pairs.model.layout_for(pairs.clean).select(positions)
        sizes = {"head": cfg.n_heads, "token": len(tokens), "neuron": cfg.d_mlp or 0}
        axes = pairs.model.axes(f"blocks.0.{_OVER[over][0]}")
        axes = tuple("token" if axis == "query" else axis for axis in axes)
        chosen = _chosen(pairs.model, layers)
        return cls(over, chosen, dims, tuple(sizes[dim] for dim in dims), tokens, axes)

    def point(self, layer: int) -> str:
        return f"blocks.{layer}.{_OVER[self.over][0]}"

    @property
    def points(self) -> list[str]:
        return [self.point(layer) for layer in self.layers]

    @property
    def coords(self) -> dict[str, Any]:
        """Of a result, for `layer` and each of `dims`."""
        numbers = (self.tokens if d == "token" else range(n) for d, n in self._sized())
        return {"layer": self.layers} | dict(zip(self.dims, map(list, numbers), strict=True))

    def by_node(self, products: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Sums over all that is patched together, in one layer."""
        chosen = products.index_select(self._token_axis, self._index(products))
        summed = [i for i, axis in enumerate(self.axes) if axis not in ("image", *self.dims)]
        kept = [axis for axis in self.axes if axis in ("image", *self.dims)]
        order = [kept.index(axis) for axis in ("image", *self.dims)]
        return chosen.sum(summed).permute(order)

    def moved(self, base: Tensor, source: Tensor, share: float) -> Tensor:
        """Values of the base run, `share` of the way to the source at the tokens that count."""
        axis, index = self._token_axis, self._index(base)
        moved = base.index_select(axis, index).lerp(source.index_select(axis, index), share)
        return base.index_copy(axis, index, moved)

    def put(self, values: Tensor, node: tuple[int, ...], source: Tensor) -> Tensor:
        """Writes the source's values of one node, a place along `dims`, over the others."""
        at: dict[str, Any] = {"token": self.tokens} | dict(zip(self.dims, node, strict=True))
        if "token" in self.dims:
            at["token"] = self.tokens[at["token"]]
        where = tuple(at.get(axis, slice(None)) for axis in self.axes)
        values[where] = source[where]
        return values

    def drawn(self, count: int, seed: int) -> list[tuple[int, ...]]:
        """Some nodes at random, each once, as places along `layer` and `dims`."""
        shape = (len(self.layers), *self.sizes)
        generator = torch.Generator().manual_seed(seed)
        places = torch.randperm(math.prod(shape), generator=generator)[:count].numpy()
        return [
            tuple(map(int, place)) for place in zip(*np.unravel_index(places, shape), strict=True)
        ]

    def site(self, place: tuple[int, ...]) -> Site:
        """A node as a site."""
        layer, *rest = place
        at = dict(zip(self.dims, rest, strict=True))
        token = at.pop("token", None)
        positions = self.tokens if token is None else [self.tokens[token]]
        return Site(self.point(self.layers[layer]), positions=positions, **at)

    def label(self, place: tuple[int, ...]) -> str:
        """A node as one reads it: `layer 3, head 2, token 0`."""
        values = (self.coords[dim][i] for dim, i in zip(("layer", *self.dims), place, strict=True))
        return ", ".join(f"{d} {v}" for d, v in zip(("layer", *self.dims), values, strict=True))

    @property
    def _token_axis(self) -> int:
        return self.axes.index("token")

    def _index(self, like: Tensor) -> Tensor:
        return torch.tensor(self.tokens, device=like.device)

    def _sized(self) -> list[tuple[str, int]]:
        return list(zip(self.dims, self.sizes, strict=True))


def _chosen(model: GlassTransformer, layers: Sequence[int] | None) -> list[int]:
    there = range(model.cfg.n_layers)
    wrong = [layer for layer in layers or () if layer not in there]
    if wrong or (layers is not None and not layers):
        raise ValueError(
            f"`layers` must name some in 0..{len(there) - 1}; got {list(layers or ())}. "
            "Leave it out for all."
        )
    return list(there if layers is None else layers)
