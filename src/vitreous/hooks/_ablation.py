"""Ablation: what a site says about this image is taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from vitreous.hooks._cache import ActivationCache
from vitreous.hooks._hook_point import HookPoint
from vitreous.hooks._intervention import SiteIntervention, expanded, source_values
from vitreous.hooks._means import Means
from vitreous.hooks._site import ResolvedSite

Reference = Means | ActivationCache | Tensor


@dataclass(frozen=True, repr=False)
class Ablate(SiteIntervention):
    """Takes away what a site says about this image.

    A zero is seldom a value that the model has seen: what lies behind a zeroed site gets input
    unlike any image's, and a norm behind it divides by another scale. A mean is closer, yet the
    mean of many images is no image's value either. A resampled value is one, and brings what that
    other image says. A number says little without the name of the method.

    Attributes:
        site: Where.
        method: `"mean"` puts the reference's mean there, `"zero"` zeros, `"resample"` the value
            of another image of the reference, drawn anew for every image with `seed`.
        reference: `Means` for `"mean"`; an `ActivationCache` or a tensor `[images, ...]` of the
            hook point for `"resample"`.
        labels: One label per image, for means kept by label. Those of the images' own classes
            leave what a class has in common, and take what sets this image apart.
        seed: Of the draw for `"resample"`.
    """

    method: Literal["mean", "zero", "resample"] = "mean"
    reference: Reference | None = None
    labels: Sequence[int] | Int[Tensor, " batch"] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels is not None:  # a tensor of them would index several dimensions at once
            object.__setattr__(self, "labels", tuple(int(label) for label in self.labels))
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
            mean = self._chosen_mean(self.reference, resolved.name, len(tensor))
            return resolved.read(expanded(mean, tensor, resolved.name))
        assert self.reference is not None and not isinstance(self.reference, Means)
        bank = source_values(self.reference, resolved.name).to(tensor)
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
        chosen = mean[list(self.labels)]
        never = sorted({each for each in self.labels if mean[each].isnan().all()})
        if never:
            raise ValueError(
                f"`labels` must be of images that the means were taken over; no image had "
                f"{never[:3]}. Take the means over images of every label."
            )
        return chosen
