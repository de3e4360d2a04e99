"""Values held as they were in another run, while everything else changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from vitreous.hooks._hook_point import HookFunction, HookPoint
from vitreous.hooks._intervention import Described, Intervention, expanded, source_values
from vitreous.hooks._site import ResolvedSite, Site, as_selection

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule

# What there is to freeze, by the kind of point that the model knows it as.
KINDS = ("patterns", "norms", "mlps")


@dataclass(frozen=True, repr=False)
class Freeze(Described, Intervention):
    """Holds attention patterns, scales of norms and outputs of MLPs at those of a recorded run.

    With all three held, a model is linear (affine, with its biases) in the embedding of its
    patches, so that effects of two changes add up. Each one held cuts a way along which a change
    can act: with the patterns held, only what heads move counts, not where they look. A frozen
    model is a mixture of two runs, and its values may be unlike those of any image.

    Attributes:
        source: The recorded run: a cache, or tensors by hook name; one image serves all.
        what: `"patterns"`, `"norms"` (every scale that is divided by), `"mlps"` (what they write),
            hook names and globs, or several of them.
        layers: Block or blocks, negative ones from the end. None means the whole model: norms of
            the embedding, final norm and pooling head too.
        positions: Tokens, as `TokenLayout.select` takes them; of patterns, queries. Unless
            `"all"`, values that belong to no token (of a pooling head, of a norm behind pooling)
            aren't held.
    """

    source: Mapping[str, Tensor]
    what: str | Sequence[str] = KINDS
    layers: int | Sequence[int] | None = None
    positions: Any = "all"

    def __post_init__(self) -> None:
        several = (self.what,) if isinstance(self.what, str) else tuple(self.what)
        object.__setattr__(self, "what", several)
        object.__setattr__(self, "layers", as_selection(self.layers))
        if not several:
            raise ValueError(
                "`what` must say what to freeze; got nothing. Pass 'patterns', 'norms', 'mlps' or "
                "hook names."
            )
        if not isinstance(self.source, Mapping):
            raise TypeError(
                "`source` must be the cache of a run, or tensors by hook name; got "
                f"{type(self.source).__name__}. Use `Freeze.of(model, images)` to make the run."
            )

    @classmethod
    def of(
        cls,
        model: "HookedModule",
        inputs: Any,
        what: str | Sequence[str] = KINDS,
        layers: int | Sequence[int] | None = None,
        positions: Any = "all",
    ) -> Self:
        """Runs the model on these inputs, and keeps no more of the run than has to be held."""
        unrun = cls({}, what, layers, positions)
        names = [each.name for each in unrun.sites(model)]
        with torch.no_grad():
            _, cache = model.run_with_cache(inputs, names_filter=names)
        return cls({name: cache[name] for name in names}, what, layers, positions)

    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        return [(each.name, self._held(each)) for each in self.sites(model)]

    def sites(self, model: "HookedModule") -> list[ResolvedSite]:
        """Where values are held."""
        everywhere = isinstance(self.positions, str) and self.positions == "all"
        names = dict.fromkeys(
            name
            for each in self.what
            for name in (
                model.points_of(each, self.layers, of_tokens=not everywhere)
                if each in KINDS
                else model.names.select(each)
            )
        )
        if not names:
            raise ValueError(
                f"There must be something to freeze; this model has no {' or '.join(self.what)} "
                "there. Choose other layers or another `what`."
            )
        return [model.resolve_site(Site(name, positions=self.positions)) for name in names]

    def _held(self, site: ResolvedSite) -> HookFunction:
        def hold(tensor: Tensor, hook: HookPoint) -> Tensor:
            values = source_values(self.source, site.name)
            return site.write(tensor, site.read(expanded(values, tensor, site.name)))

        return hold
