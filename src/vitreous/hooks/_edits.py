"""Edits of the values that are there: steering, shifting, and what a function can write."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitreous.hooks._hook_point import HookPoint
from vitreous.hooks._intervention import SiteIntervention
from vitreous.hooks._site import ResolvedSite


@dataclass(frozen=True, repr=False)
class Steer(SiteIntervention):
    """Adds `scale * direction` at a site.

    Attributes:
        site: Where.
        direction: Vector in the last dimension of the hook point (or anything that broadcasts to
            the values of the site).
        scale: How much of it, in units of the direction's length.
    """

    direction: Tensor
    scale: float = 1.0

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        current = resolved.read(tensor)
        if self.direction.shape[-1] != current.shape[-1]:
            raise ValueError(
                f"`direction` must have width {current.shape[-1]} at `{resolved.name}`; "
                f"got {self.direction.shape[-1]}. Pass a vector of that space."
            )
        return current + self.scale * self.direction.to(current)


@dataclass(frozen=True, repr=False)
class Edit(SiteIntervention):
    """Replaces the values at a site by `function(values, hook)`.

    Attributes:
        site: Where.
        function: Gets the values of the site (selected dimensions are shorter) and returns their
            replacement, or None for what it left in them. It can be saved only when it can be
            imported by name.
    """

    function: Callable[[Tensor, HookPoint], Tensor | None]

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        values = resolved.read(tensor)
        returned = self.function(values, hook)
        return values if returned is None else returned


@dataclass(frozen=True, repr=False)
class ShiftPeak(SiteIntervention):
    """Moves the highest value over tokens to other tokens, and zeroes it everywhere else.

    At neurons that write the outlying norms of a few patches ("register neurons"), in a model with
    empty registers (`vitreous.models.with_registers`), those norms come to stand at the registers.
    Which neurons those are differs from model to model; moving any others moves what they say.

    Attributes:
        site: One or more neurons, or any values of single tokens, at all positions.
        to: The tokens that get the value, as `TokenLayout.select` takes them.

    References:
        Jiang, Dravid, Efros and Gandelsman, "Vision Transformers Don't Need Trained Registers",
        2025, section on test-time registers.
    """

    to: Any = "registers"

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        values = resolved.read(tensor)
        if "token" not in resolved.axes or "token" in resolved.asked or resolved.select is None:
            raise ValueError(
                f"`ShiftPeak` needs a site with all tokens of a model that knows them; got "
                f"{self.site} at `{resolved.name}`. Leave `positions` out, and pass `to=`."
            )
        axis = resolved.axes.index("token")
        n_tokens = values.shape[axis]
        to = torch.tensor(resolved.select(self.to, n_tokens), device=values.device)
        others = torch.ones(n_tokens, dtype=torch.bool, device=values.device)
        others[to] = False
        if not others.any():
            raise ValueError(
                f"`to` must leave a token to take the value from; got {self.to!r}, which is all. "
                "Pass fewer tokens."
            )
        peak = values.movedim(axis, 0)[others].amax(0, keepdim=True).movedim(0, axis)
        moved = torch.zeros_like(values)
        return moved.index_copy(axis, to, peak.expand_as(values.index_select(axis, to)))
