"""Interventions as values: made once, printed, saved, combined, and applied to any run."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from vitreous._errors import unknown
from vitreous.hooks._cache import ActivationCache
from vitreous.hooks._hook_point import HookFunction, HookPoint
from vitreous.hooks._means import Means
from vitreous.hooks._site import ResolvedSite, Site, shown

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule


class Intervention(ABC):
    """Something to do to the values at one or more points of a run."""

    @abstractmethod
    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        """The forward hooks that carry it out on `model`."""


class Described:
    """A value that prints as the call that makes it, without the arguments left at their default.

    Subclasses are dataclasses; `_bare` names the fields that stand without their name.
    """

    _bare: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        own: Any = self
        given = [f for f in dataclasses.fields(own) if not _is_default(f, getattr(self, f.name))]
        parts = [
            ("" if f.name in self._bare else f"{f.name}=") + brief(getattr(self, f.name))
            for f in given
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(frozen=True, repr=False)
class SiteIntervention(Described, Intervention):
    """An intervention that puts new values at one site."""

    site: Site | str

    _bare: ClassVar = ("site",)

    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        where = self.site if isinstance(self.site, Site) else Site(self.site)
        resolved = model.resolve_site(where)

        def edit(tensor: Tensor, hook: HookPoint) -> Tensor:
            return resolved.write(tensor, self.replacement(tensor, resolved, hook))

        return [(resolved.name, edit)]

    @abstractmethod
    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        """New values for the site, from the whole tensor at its hook point."""


def brief(value: Any) -> str:
    """A field as one reads it: whose mean, what shape, which function."""
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, Means):
        return f"<{value.description}>"
    if isinstance(value, Tensor) and value.dtype != torch.bool:
        return f"<tensor {list(value.shape)}>"
    if isinstance(value, Mapping) and not isinstance(value, ActivationCache):
        held = [each for each in value.values() if isinstance(each, Tensor)]
        return f"<{len(held)} tensors>" if held else repr(value)
    return getattr(value, "__qualname__", None) or shown(value)


def source_values(source: Mapping[str, Tensor] | Tensor, name: str) -> Tensor:
    """What another run had at a point."""
    if isinstance(source, Tensor):
        return source
    if name not in source and not isinstance(source, ActivationCache):
        raise unknown("value", name, source, "Record it in the run that the values come from.")
    return source[name]


def expanded(values: Tensor, tensor: Tensor, name: str) -> Tensor:
    """Values as large as the tensor at a point; one row serves all images."""
    try:
        return values.to(tensor).expand(tensor.shape)
    except RuntimeError:
        raise ValueError(
            f"Values for `{name}` must fit {list(tensor.shape)}; got {list(values.shape)}. "
            "Take them from a run of the same model at the same image size."
        ) from None


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if value is field.default:
        return True
    return isinstance(value, str | tuple | int | float) and value == field.default
