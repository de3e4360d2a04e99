"""Which tokens belong together: edges of a graph, told apart by the tokens that they carry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vitreous.models._graph import EVERYWHERE, Graph
from vitreous.models._positions import Layout

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

_KINDS = ("cls", "distillation", "registers", "patches")


@dataclass(frozen=True, eq=False)
class TokenGroups:
    """Groups of tokens, of which every token is in exactly one.

    Attributes:
        names: Of the groups.
        members: Whether a token is in a group: one row for all images, or one for each.
        unread: The groups of which the readout reads no token, in any image.
    """

    names: tuple[str, ...]
    members: Bool[Tensor, "#batch groups tokens"]
    unread: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, layout: Layout, groups: "str | Mapping[str, Any] | TokenGroups | None" = None
    ) -> "TokenGroups":
        """Groups by what they are called.

        Args:
            layout: Where tokens are: `model.layout`, or `model.layout_for(images)`.
            groups: None for one of all tokens; `"kinds"` for class token, distillation token,
                registers and patches, where there are some; `"positions"` for each token by
                itself; positions by name, as `layout.select` takes them; or groups, which are
                checked.

        Raises:
            ValueError: A token is in no group or in two, or the groups are of other tokens.
        """
        if isinstance(groups, TokenGroups):
            return groups._of_tokens(layout.n_tokens)
        if isinstance(groups, Mapping):
            return cls._of_sets(layout, {k: layout.select(v) for k, v in groups.items()})
        if groups is None:
            return cls._of_sets(layout, {EVERYWHERE[0]: layout.select("all")})
        if groups == "kinds":
            return cls._of_sets(layout, _kinds(layout))
        if groups == "positions":
            names = layout.names()
            return cls._of_sets(layout, {name: [place] for place, name in enumerate(names)})
        raise ValueError(
            f"`groups` must be None, 'kinds', 'positions', positions by name, or `TokenGroups`; "
            f"got {groups!r}. Pass one of them."
        )

    @classmethod
    def of_foreground(cls, layout: Layout, foreground: Tensor) -> "TokenGroups":
        """`"kinds"`, with the patches divided into `foreground` and `background`, pair by pair.

        Args:
            layout: Where tokens are.
            foreground: Bool, `[pairs, tokens]` (of which the patches count), `[pairs, patches]`
                or `[pairs, rows, columns]`, with frames in front of them in clips; `[1, ...]`
                for all pairs alike. Where what matters stands elsewhere in the corrupt image,
                pass both places.

        Raises:
            ValueError: Another shape, or something other than a mask.
        """
        kinds = _kinds(layout)
        patches = kinds.pop("patches", [])
        given = foreground.flatten(1) if foreground.ndim > 1 else foreground[None]
        if given.shape[1] == layout.n_tokens:
            given = given[:, patches]
        if given.dtype != torch.bool or given.shape[1] != len(patches):
            raise ValueError(
                f"`foreground` must be a bool mask of {layout.n_tokens} tokens or {len(patches)} "
                f"patches per pair; got {given.dtype} of shape {list(foreground.shape)}. Use "
                "`layout.coverage(mask) > 0.5` for a mask of pixels."
            )
        members = torch.zeros(len(given), len(kinds) + 2, layout.n_tokens, dtype=torch.bool)
        for row, places in enumerate(kinds.values()):
            members[:, row, places] = True
        members[:, -2, patches], members[:, -1, patches] = given.cpu(), ~given.cpu()
        names = (*kinds, "foreground", "background")
        return cls(names, members, _unread(layout, names, members))

    @classmethod
    def _of_sets(cls, layout: Layout, sets: Mapping[str, list[int]]) -> "TokenGroups":
        members = torch.zeros(1, len(sets), layout.n_tokens, dtype=torch.bool)
        for row, places in enumerate(sets.values()):
            members[0, row, places] = True
        times = members[0].sum(0)
        if (times != 1).any():
            place = int((times != 1).nonzero()[0])
            raise ValueError(
                f"Every token must be in one group; got {layout.names()[place]!r} in "
                f"{int(times[place])}. Name the others too, each once."
            )
        names = tuple(sets)
        return cls(names, members, _unread(layout, names, members))

    @property
    def is_plain(self) -> bool:
        """Whether there is one group of all tokens."""
        return len(self.names) == 1

    @property
    def n_tokens(self) -> int:
        return self.members.shape[-1]

    def graph(self, model: "GlassTransformer") -> Graph:
        """The graph of a model with these groups, without the edges that nobody reads.

        The plain graph keeps all.
        """
        return Graph.of(model) if self.is_plain else Graph.of(model, self.names, unread=self.unread)

    def at(self, rows: slice) -> "TokenGroups":
        """The groups of some of the pairs."""
        return self if len(self.members) == 1 else replace(self, members=self.members[rows])

    def require_pairs(self, count: int) -> None:
        """Raises `ValueError` where there are masks for another number of pairs."""
        if len(self.members) not in (1, count):
            raise ValueError(
                f"Groups of tokens must have one mask per pair; got {len(self.members)} for "
                f"{count} pairs. Pass one for each, or one for all."
            )

    def index(self, n_pairs: int) -> Int[Tensor, "batch tokens"]:
        """The group of each token of each pair, by its place in `names`."""
        return self.members.int().argmax(1).expand(n_pairs, -1)

    def _of_tokens(self, count: int) -> "TokenGroups":
        if self.n_tokens != count:
            raise ValueError(
                f"Groups of tokens must cover the {count} tokens of this run; got groups of "
                f"{self.n_tokens}. Make them from `model.layout_for(images)`."
            )
        return self


def _kinds(layout: Layout) -> dict[str, list[int]]:
    """Class token and so on, as far as there are some; the rest, as in texts, are `patches`."""
    kinds = {
        name: layout._named(name)  # `select` refuses an empty group
        for name in _KINDS
        if name in layout.groups
    }
    named = {place for places in kinds.values() for place in places}
    kinds.setdefault("words", [i for i in range(layout.n_tokens) if i not in named])
    return {name: places for name, places in kinds.items() if places}


def _unread(
    layout: Layout, names: tuple[str, ...], members: Bool[Tensor, "#batch groups tokens"]
) -> tuple[str, ...]:
    """The groups that the readout reads no token of."""
    read = torch.zeros(layout.n_tokens, dtype=torch.bool)
    read[layout.select("readout") if layout.read is None else layout.read.cpu()] = True
    is_read = (members & read).any(2).any(0)
    return tuple(name for name, there in zip(names, is_read.tolist(), strict=True) if not there)
