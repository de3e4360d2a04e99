"""A part of the tensor at one hook point: which head, which neuron, which tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Selection = Sequence[int] | None  # None means all
# Longer selections are cut short where they are printed.
_N_SHOWN = 8
Selector = Callable[[Any, int], list[int]]


@dataclass(frozen=True)
class Site:
    """Where to read or intervene, before any model is involved.

    Attributes:
        name: A hook name, or a component: `"L11H4"` (a head, at `hook_z`), `"L7M"` (what an MLP
            writes), `"L7N1024"` (a neuron, at `mlp.hook_post`), `"L7A"` (what attention writes).
        head: Head or heads; None means all.
        neuron: Index or indices in the last dimension; None means all.
        positions: Tokens, as `TokenLayout.select` takes them; on scores and patterns, queries.
        keys: Keys, on scores and patterns.
    """

    name: str
    head: int | tuple[int, ...] | None = None
    neuron: int | tuple[int, ...] | None = None
    positions: Any = "all"
    keys: Any = "all"

    def resolve(
        self, hook_name: str, axes: Sequence[str] | None, select: Selector | None = None
    ) -> "ResolvedSite":
        """The part of the tensor at `hook_name` that this site means.

        Args:
            hook_name: The full name of the hook point.
            axes: What the dimensions of its tensor count (`"image"`, `"token"`, `"query"`,
                `"key"`, `"head"`, and anything for the last); None when nobody knows.
            select: Turns `positions` into token indices; its second argument is the token count.
        """
        asked = self._asked(axes)
        unknown_axes = [axis for axis in asked if axis not in (axes or ())]
        if unknown_axes:
            raise ValueError(
                f"`{hook_name}` must have a {unknown_axes[0]} dimension for this site; it has "
                f"{', '.join(axes) if axes else 'unnamed dimensions'}. Drop that part of the site."
            )
        return ResolvedSite(hook_name, tuple(axes or ()), asked, select)

    def _asked(self, axes: Sequence[str] | None) -> dict[str, Any]:
        axes = axes or ()
        is_pattern = "query" in axes
        asked = {
            "head": self.head,
            (axes[-1] if axes and not is_pattern else "neuron"): self.neuron,
            "query" if is_pattern else "token": _none_if_all(self.positions),
            "key": _none_if_all(self.keys),
        }
        return {axis: what for axis, what in asked.items() if what is not None}

    def __str__(self) -> str:
        parts = [
            f"{word}={what}"
            for word, what in (("head", self.head), ("neuron", self.neuron))
            if what is not None
        ]
        for word, what in (("positions", self.positions), ("keys", self.keys)):
            if _none_if_all(what) is not None:
                parts.append(f"{word}={what if isinstance(what, str) else shown(what)}")
        return f"{self.name}[{', '.join(parts)}]" if parts else self.name


def site(
    name: str,
    *,
    head: int | Sequence[int] | None = None,
    neuron: int | Sequence[int] | None = None,
    positions: Any = "all",
    keys: Any = "all",
) -> Site:
    """A place in a model: `site("blocks.11.attn.hook_z", head=4, positions="cls")`.

    Short forms name a component: `site("L11H4")`, `site("L7M")`, `site("L7A")`, `site("L7N1024")`.
    See `Site` for the arguments.
    """
    return Site(name, as_selection(head), as_selection(neuron), positions, keys)


@dataclass(frozen=True)
class ResolvedSite:
    """A site on a model: a hook point, and which entries of its tensor."""

    name: str
    axes: tuple[str, ...]
    asked: dict[str, Any]
    select: Selector | None

    def read(self, tensor: Tensor) -> Tensor:
        """The entries of the site; every dimension stays, selected ones are shorter."""
        for axis, indices in self._indices(tensor).items():
            tensor = tensor.index_select(axis, torch.as_tensor(indices, device=tensor.device))
        return tensor

    def write(self, tensor: Tensor, values: Tensor) -> Tensor:
        """Sets the entries of the site, in place, to values that broadcast to them."""
        index: list[Any] = [slice(None)] * tensor.ndim
        chosen = self._indices(tensor)
        if len(chosen) == 1:
            axis, indices = next(iter(chosen.items()))
            index[axis] = torch.as_tensor(indices, device=tensor.device)
        elif chosen:
            # Several lists of indices mean every combination of them, as in numpy.ix_.
            full = [chosen.get(axis, range(size)) for axis, size in enumerate(tensor.shape)]
            index = [
                torch.as_tensor(list(one), device=tensor.device).view(
                    [-1 if axis == place else 1 for place in range(tensor.ndim)]
                )
                for axis, one in enumerate(full)
            ]
        try:
            tensor[tuple(index)] = values.to(tensor.dtype)
        except RuntimeError:
            raise ValueError(
                f"Values for this part of `{self.name}` must fit {list(self.read(tensor).shape)}; "
                f"got {list(values.shape)}. Keep the shape of what the site reads."
            ) from None
        return tensor

    def token_axis(self) -> int | None:
        """The dimension that counts tokens (queries, on patterns)."""
        for word in ("token", "query"):
            if word in self.axes:
                return self.axes.index(word)
        return None

    def _indices(self, tensor: Tensor) -> dict[int, list[int]]:
        found = {}
        for word, what in self.asked.items():
            axis = self.axes.index(word)
            size = tensor.shape[axis]
            if word in ("token", "query", "key"):
                found[axis] = self.select(what, size) if self.select else in_range(what, size, word)
            else:
                found[axis] = in_range(what, size, word)
        return dict(sorted(found.items()))


def shown(what: Any) -> str:
    """A selection on one line, however long it is."""
    if isinstance(what, tuple | list) and len(what) > _N_SHOWN:
        first = ", ".join(map(str, what[: _N_SHOWN // 2]))
        marks = "()" if isinstance(what, tuple) else "[]"
        return f"{marks[0]}{first}, ... {len(what)} in all{marks[1]}"
    if not hasattr(what, "__array__"):
        return repr(what)
    own = torch.as_tensor(what)
    if own.dtype != torch.bool:
        return shown(own.tolist())
    return f"<{int(own.sum())} of {' x '.join(map(str, own.shape))}>"


def in_range(what: int | Sequence[int], size: int, word: str) -> list[int]:
    """Indices into a dimension, counted from the front; loud where one lies outside."""
    indices = [what] if isinstance(what, int) else list(what)
    wrong = [i for i in indices if not -size <= i < size]
    if wrong or not indices:
        raise ValueError(
            f"`{word}` must lie in 0..{size - 1}; got {wrong or 'no index at all'}. "
            "Pass an index, or a sequence of them."
        )
    return [i % size for i in indices]


def _none_if_all(positions: Any) -> Any:
    return None if isinstance(positions, str) and positions == "all" else positions


def as_selection(what: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    """An index or several, in a form that can be compared and hashed."""
    return what if what is None or isinstance(what, int) else tuple(int(i) for i in what)
