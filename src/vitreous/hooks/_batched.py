"""Several interventions in one pass, each on its part of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from vitreous.hooks._hook_point import HookFunction, HookPoint
from vitreous.hooks._intervention import Intervention

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule


@dataclass(frozen=True)
class Batched(Intervention):
    """Different interventions for different parts of a batch.

    The batch is cut into as many equal parts as there are groups; group `i` acts on part `i`
    alone, so one pass over the same images repeated carries out all of them.

    Attributes:
        groups: For each part of the batch, its interventions (an empty one leaves it alone).
    """

    groups: tuple[tuple[Intervention, ...], ...]

    @classmethod
    def of(cls, groups: Sequence[Intervention | Sequence[Intervention]]) -> "Batched":
        return cls(tuple((g,) if isinstance(g, Intervention) else tuple(g) for g in groups))

    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        return [
            (name, self._on_part(part, function))
            for part, group in enumerate(self.groups)
            for intervention in group
            for name, function in intervention.hooks(model)
        ]

    def _on_part(self, part: int, function: HookFunction) -> HookFunction:
        def edit(tensor: Tensor, hook: HookPoint) -> Tensor:
            size, rest = divmod(len(tensor), len(self.groups))
            if rest:
                raise ValueError(
                    f"The batch must divide into {len(self.groups)} equal parts, one per group of "
                    f"interventions; got {len(tensor)} rows. Repeat the images for every group."
                )
            rows = slice(part * size, (part + 1) * size)
            edited = function(tensor[rows], hook)
            if edited is not None:
                tensor[rows] = edited
            return tensor

        return edit
