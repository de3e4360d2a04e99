"""Interventions as values: made once, printed, saved, combined, and applied to any run."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from vitreous.hooks._cache import ActivationCache
from vitreous.hooks._hook_point import HookFunction, HookPoint
from vitreous.hooks._means import Means
from vitreous.hooks._site import ResolvedSite, Site

if TYPE_CHECKING:
    from vitreous.hooks._hooked_module import HookedModule

Reference = Means | ActivationCache | Tensor


def _as_site(where: Site | str) -> Site:
    return where if isinstance(where, Site) else Site(where)


class Intervention(ABC):
    """Something to do to the values at one or more sites of a run."""

    @abstractmethod
    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        """The forward hooks that carry it out on `model`."""


@dataclass(frozen=True, repr=False)
class _SiteIntervention(Intervention):
    """An intervention that puts new values at one site."""

    site: Site | str

    def __repr__(self) -> str:
        given = (f for f in dataclasses.fields(self) if getattr(self, f.name) is not f.default)
        fields = (f"{f.name}={_brief(getattr(self, f.name))}" for f in given if f.name != "site")
        return f"{type(self).__name__}({', '.join([str(self.site), *fields])})"

    def hooks(self, model: "HookedModule") -> list[tuple[str, HookFunction]]:
        resolved = model.resolve_site(_as_site(self.site))

        def edit(tensor: Tensor, hook: HookPoint) -> Tensor:
            return resolved.write(tensor, self.replacement(tensor, resolved, hook))

        return [(resolved.name, edit)]

    @abstractmethod
    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        """New values for the site, from the whole tensor at its hook point."""


@dataclass(frozen=True, repr=False)
class Ablate(_SiteIntervention):
    """Takes away what a site says about this image.

    Attributes:
        site: Where.
        method: `"mean"` puts the reference's mean there, `"zero"` zeros, `"resample"` the value
            of another image of the reference, drawn anew for every image with `seed`.
        reference: `Means` for `"mean"`; an `ActivationCache` or a tensor `[images, ...]` of the
            hook point for `"resample"`.
        labels: One label per image, for means kept by label.
        seed: Of the draw for `"resample"`.
    """

    method: Literal["mean", "zero", "resample"] = "mean"
    reference: Reference | None = None
    labels: tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in ("mean", "zero", "resample"):
            raise ValueError(
                f"`method` must be 'mean', 'zero' or 'resample'; got {self.method!r}. "
                "Pass one of them."
            )
        needed = {"mean": Means, "resample": (ActivationCache, Tensor)}.get(self.method)
        if needed is not None and not isinstance(self.reference, needed):
            what = "`Means` (from `vt.means`)" if self.method == "mean" else "a cache or a tensor"
            raise TypeError(
                f"`reference` must be {what} for method {self.method!r}; "
                f"got {type(self.reference).__name__}. Say whose values to use."
            )

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        if self.method == "zero":
            return torch.zeros_like(resolved.read(tensor))
        if self.method == "mean":
            assert isinstance(self.reference, Means)
            mean = self._chosen_mean(self.reference, resolved.name, len(tensor)).to(tensor)
            return resolved.read(_expanded(mean, tensor, resolved.name))
        bank = _source_values(self.reference, resolved.name).to(tensor)
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randint(len(bank), (len(tensor),), generator=generator)
        return resolved.read(bank[rows.to(bank.device)])

    def _chosen_mean(self, means: Means, name: str, n_images: int) -> Tensor:
        mean = means.at(name)
        if means.by != "label":
            return mean
        if self.labels is None or len(self.labels) != n_images:
            raise ValueError(
                f"`labels` must give one label per image for means kept by label; got "
                f"{None if self.labels is None else len(self.labels)} for {n_images} images. "
                "Pass `Ablate(..., labels=...)`."
            )
        beyond = [label for label in self.labels if not 0 <= label < len(mean)]
        if beyond:
            raise ValueError(
                f"`labels` must lie in 0..{len(mean) - 1}, as those of the means; got "
                f"{beyond[:3]}. Take the means over images of every label."
            )
        return mean[list(self.labels)]


@dataclass(frozen=True, repr=False)
class ActivationPatch(_SiteIntervention):
    """Puts values of another run at a site.

    Attributes:
        site: Where.
        source: The other run's cache, or a tensor with the shape of the hook point (its first
            dimension may be one, for all images).
    """

    source: ActivationCache | Tensor

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        values = _source_values(self.source, resolved.name).to(tensor)
        return resolved.read(_expanded(values, tensor, resolved.name))


@dataclass(frozen=True, repr=False)
class Steer(_SiteIntervention):
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
class Edit(_SiteIntervention):
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


def _brief(value: Any) -> str:
    """A field as one reads it: whose mean, what shape, which function."""
    if isinstance(value, Means):
        return f"<{value.description}>"
    if isinstance(value, Tensor):
        return f"<tensor {list(value.shape)}>"
    return getattr(value, "__qualname__", None) or repr(value)


def _source_values(source: Any, name: str) -> Tensor:
    return source[name] if isinstance(source, ActivationCache) else source


def _expanded(values: Tensor, tensor: Tensor, name: str) -> Tensor:
    try:
        return values.expand(tensor.shape)
    except RuntimeError:
        raise ValueError(
            f"Values for `{name}` must fit {list(tensor.shape)}; got {list(values.shape)}. "
            "Take them from a run of the same model at the same image size."
        ) from None
