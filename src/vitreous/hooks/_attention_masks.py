"""Who may attend to whom: keys hidden from queries, by setting scores to minus infinity."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vitreous.hooks._hook_point import HookFunction, HookPoint
from vitreous.hooks._intervention import Described, Intervention
from vitreous.hooks._site import as_selection, in_range

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule

Hidden = Bool[Tensor, "*#batch queries keys"]
PrefixRule = Literal["last", "first", "free"]

# What `queries` says for the learned query of an attention pooling.
POOLING = "pooling"


@dataclass(frozen=True, repr=False, kw_only=True)
class HiddenKeys(Described, Intervention):
    """Hides keys from queries in front of the softmax, so that rows of the pattern sum to one.

    Attributes:
        layers: Block or blocks, negative ones from the end; None means all.
        heads: Head or heads; None means all.
    """

    layers: int | Sequence[int] | None = None
    heads: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "heads"):
            object.__setattr__(self, name, as_selection(getattr(self, name)))

    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        def edit(scores: Tensor, hook: HookPoint) -> Tensor:
            n_queries, n_keys = scores.shape[-2:]
            hidden = self.hidden(model, n_queries, n_keys).to(scores.device)
            if self.heads is None:
                return self._hide(scores, hidden, hook.name)
            chosen = in_range(self.heads, scores.shape[1], "heads")
            scores[:, chosen] = self._hide(scores[:, chosen], hidden, hook.name)
            return scores

        return [(name, edit) for name in self.points(model)]

    def points(self, model: "HookedModule") -> list[str]:
        """The scores that it acts on."""
        return model.points_of("scores", self.layers)

    @abstractmethod
    def hidden(self, model: "HookedModule", n_queries: int, n_keys: int) -> Hidden:
        """True where a query may not look."""

    def _hide(
        self, scores: Float[Tensor, "batch heads queries keys"], hidden: Hidden, name: str
    ) -> Float[Tensor, "batch heads queries keys"]:
        if hidden.ndim == 3 and len(hidden) not in (1, len(scores)):
            raise ValueError(
                f"A mask per image must have one for each of {len(scores)}; got {len(hidden)}. "
                "Pass [queries, keys] for all of them."
            )
        mask = hidden if hidden.ndim == 2 else hidden[:, None]
        masked = scores.masked_fill(mask, float("-inf"))
        blind = (masked == float("-inf")).all(-1) & (scores > float("-inf")).any(-1)
        if blind.any():
            where = sorted(set(blind.nonzero()[:, -1].tolist()))
            raise ValueError(
                f"Every query must be left a key to look at; {self!r} leaves none at `{name}` to "
                f"{'query' if len(where) == 1 else 'queries'} {', '.join(map(str, where[:3]))}"
                f"{' and more' if len(where) > 3 else ''}. Hide fewer keys, or knock out the "
                "head with `Ablate`."
            )
        return masked


@dataclass(frozen=True, repr=False)
class AttentionMask(HiddenKeys):
    """Hides whatever keys a mask says from whatever queries.

    Attributes:
        mask: True where a query may not look, `[queries, keys]` over all tokens, or
            `[images, queries, keys]`.
        layers: Block or blocks, negative ones from the end; None means all.
        heads: Head or heads; None means all.
    """

    mask: Hidden

    _bare: ClassVar = ("mask",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask.dtype != torch.bool or self.mask.ndim not in (2, 3):
            raise ValueError(
                "`mask` must be bool, [queries, keys] or [images, queries, keys]; got "
                f"{str(self.mask.dtype).removeprefix('torch.')}{list(self.mask.shape)}. Pass True "
                "where a query may not look."
            )

    def hidden(self, model: "HookedModule", n_queries: int, n_keys: int) -> Hidden:
        if tuple(self.mask.shape[-2:]) != (n_queries, n_keys):
            raise ValueError(
                f"`mask` must be {n_queries} x {n_keys} (queries x keys) in this pass; got "
                f"{self.mask.shape[-2]} x {self.mask.shape[-1]}. Class and register tokens count."
            )
        return self.mask


@dataclass(frozen=True, repr=False)
class KnockOut(HiddenKeys):
    """Keeps a group of tokens from attending to another, so that nothing moves that way directly.

    What the keys say may still arrive through a third token, in two steps. The attention that went
    to them goes to the keys that are left, in proportion: where they drew much of it (a register,
    a class token), that alone changes what the queries read. Compare with knocking out as many
    other keys.

    Attributes:
        queries: Who may not look: a group, an index, indices, a place or a mask, as
            `TokenLayout.select` takes them; or `"pooling"`, the learned query of a model that is
            read by attention pooling.
        keys: What is out of sight, in the same forms.
        both_ways: Whether the keys may not look at the queries either.
        spare_self: Whether a token that belongs to both may look at itself.
        layers: Block or blocks, negative ones from the end; None means all.
        heads: Head or heads; None means all.

    References:
        Geva et al., "Dissecting Recall of Factual Associations in Auto-Regressive Language
        Models", 2023, section 4 (attention knockout). Departs from it: all layers unless told
        otherwise, where they take a window of them.
    """

    queries: Any
    keys: Any
    both_ways: bool = False
    spare_self: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pools and (self.both_ways or self.spare_self or self.layers is not None):
            raise ValueError(
                "The query of an attention pooling stands in no layer and is no key; got `layers`, "
                "`both_ways` or `spare_self` with queries='pooling'. Leave them out."
            )

    @property
    def pools(self) -> bool:
        """Whether it acts on an attention pooling."""
        return isinstance(self.queries, str) and self.queries == POOLING

    def points(self, model: "HookedModule") -> list[str]:
        return model.points_of("pooling scores") if self.pools else super().points(model)

    def hidden(self, model: "HookedModule", n_queries: int, n_keys: int) -> Hidden:
        hidden = torch.zeros(n_queries, n_keys, dtype=torch.bool)
        keys = model.select_positions(self.keys, n_keys)
        if self.pools:
            hidden[:, keys] = True
            return hidden
        queries = model.select_positions(self.queries, n_keys)
        hidden[torch.tensor(queries)[:, None], torch.tensor(keys)] = True
        if self.both_ways:
            hidden = hidden | hidden.T
        return hidden.fill_diagonal_(False) if self.spare_self else hidden


@dataclass(frozen=True, repr=False)
class CausalMask(HiddenKeys):
    """One-way attention: patches look at themselves and at patches that come before them.

    A model that was trained to look both ways has never seen what this makes of its layers; what
    it shows is what a stream can gather in one pass over the picture, not what the model does.

    Tokens that are no patches (class, distillation, registers) go by a rule of their own:

    - `"last"`: they come behind all patches. They look at everything, and no patch looks at them,
      so nothing that patches hold comes from behind. What patches usually leave at a register
      or a class token, attention sinks, is then out of their sight too.
    - `"first"`: they come before all patches. Every patch looks at them, and they look at one
      another alone. A class token that is first knows nothing of the image.
    - `"free"`: they look at everything, and everything looks at them. From the second masked layer
      on, they carry what late patches say to early ones.

    Attributes:
        order: `"reading"` (frame by frame, row by row, left to right), `"reversed"`, or patches by
            their number in reading order, the first one first.
        prefix: The rule of these tokens; or a dictionary from group (`"cls"`, `"distillation"`,
            `"registers"`) to rule, in which groups that aren't named are `"last"`. The natural
            mix is `{"registers": "first"}`: sinks that stay in sight and hold nothing.
        layers: Block or blocks, negative ones from the end; None means all.
        heads: Head or heads; None means all.
    """

    order: Any = "reading"
    prefix: PrefixRule | Mapping[str, PrefixRule] = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.order, str):
            object.__setattr__(self, "order", tuple(int(each) for each in self.order))
        elif self.order not in ("reading", "reversed"):
            raise ValueError(
                f"`order` must be 'reading', 'reversed' or a permutation of patches; got "
                f"{self.order!r}. Pass one of them."
            )
        if isinstance(self.prefix, Mapping):
            object.__setattr__(self, "prefix", dict(self.prefix))
        for rule in self.prefix.values() if isinstance(self.prefix, dict) else [self.prefix]:
            if rule not in ("last", "first", "free"):
                raise ValueError(
                    f"`prefix` must be 'last', 'first' or 'free'; got {rule!r}. Pass one of them."
                )

    def hidden(self, model: "HookedModule", n_queries: int, n_keys: int) -> Hidden:
        patches = model.select_positions("patches", n_keys)
        time = torch.full((n_keys,), len(patches))
        time[torch.tensor(patches)[list(self._in_order(len(patches)))]] = torch.arange(len(patches))
        free = torch.zeros(n_keys, dtype=torch.bool)
        for tokens, rule in self._ruled(model, n_keys, patches):
            time[tokens] = -1 if rule == "first" else len(patches)
            free[tokens] = rule == "free"
        return (time > time[:, None]) & ~free & ~free[:, None]

    def _in_order(self, n_patches: int) -> Sequence[int]:
        if isinstance(self.order, str):
            forward = range(n_patches)
            return forward if self.order == "reading" else forward[::-1]
        if sorted(self.order) != list(range(n_patches)):
            raise ValueError(
                f"`order` must name each of the {n_patches} patches of this pass once; got "
                f"{len(self.order)} numbers. Pass a permutation of 0..{n_patches - 1}."
            )
        return self.order

    def _ruled(
        self, model: "HookedModule", n_tokens: int, patches: list[int]
    ) -> list[tuple[list[int], str]]:
        """Tokens that are no patches, with the rule that they go by."""
        others = sorted(set(range(n_tokens)) - set(patches))
        if isinstance(self.prefix, str):
            return [(others, self.prefix)]
        named = {g: model.select_positions(g, n_tokens) for g in self.prefix}
        beside = [(group, each) for group, tokens in named.items() for each in tokens]
        for group, token in beside:
            if token not in others:
                raise ValueError(
                    f"`prefix` must name tokens that are no patches; got {group!r}. Name 'cls', "
                    "'distillation' or 'registers'."
                )
        return [(tokens, self.prefix[group]) for group, tokens in named.items()]
