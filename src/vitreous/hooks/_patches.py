"""Patching: values of another run, whole or inside a subspace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.hooks._hook_point import HookPoint
from vitreous.hooks._intervention import SiteIntervention, expanded, source_values
from vitreous.hooks._site import ResolvedSite, Site

Source = Mapping[str, Tensor] | Tensor


@dataclass(frozen=True, repr=False)
class ActivationPatch(SiteIntervention):
    """Puts values of another run at a site.

    `denoise` and `noise` make one whose direction is on record: the same act asks two questions.

    Attributes:
        site: Where.
        source: The other run's cache, or a tensor with the shape of the hook point (its first
            dimension may be one, for all images).
        direction: What it was made for; it changes nothing in what happens.
    """

    source: Source
    direction: Literal["denoise", "noise"] | None = None

    def __post_init__(self) -> None:
        if self.direction not in ("denoise", "noise", None):
            raise ValueError(
                f"`direction` must be 'denoise', 'noise' or None; got {self.direction!r}. "
                "Use `ActivationPatch.denoise` or `.noise`."
            )

    @classmethod
    def denoise(cls, site: Site | str, clean: Source) -> Self:
        """For a run on corrupt images, with values of the clean run.

        Asks whether the site is enough to bring the answer back. Where several sites carry the
        same thing, each of them alone may do.
        """
        return cls(site, clean, "denoise")

    @classmethod
    def noise(cls, site: Site | str, corrupt: Source) -> Self:
        """For a run on clean images, with values of the corrupt run.

        Asks whether the answer needs the site. Where another site carries the same thing, it
        seems to need neither.
        """
        return cls(site, corrupt, "noise")

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        values = source_values(self.source, resolved.name)
        return resolved.read(expanded(values, tensor, resolved.name))


@dataclass(frozen=True, repr=False)
class SwapSubspace(SiteIntervention):
    """Puts the part of another run's values that lies in a subspace; the rest stays.

    `value + (source - value) @ Q.T @ Q`, where the rows of `Q` are an orthonormal basis. With a
    basis of the whole space it is `ActivationPatch`. A subspace that an optimizer found may work
    through directions that the model itself doesn't use: check it on other images and against a
    subspace found for shuffled pairs.

    Attributes:
        site: Where; the subspace lies in the last dimension of what it reads.
        basis: Vectors that span the subspace, `[directions, width]`, of any length and angle.
        source: The other run's cache, or a tensor with the shape of the hook point (its first
            dimension may be one, for all images).

    Raises:
        ValueError: No vector, vectors that aren't finite, or that depend on one another.

    References:
        Geiger et al., "Finding Alignments Between Interpretable Causal Variables and Distributed
        Neural Representations", 2024, section on distributed interchange interventions. Departs
        from it: one subspace at one site, and no rotation of what lies outside of it.
    """

    basis: Float[Tensor, "directions width"]
    source: Source

    def __post_init__(self) -> None:
        basis = self.basis
        if basis.ndim != 2 or 0 in basis.shape:
            raise ValueError(
                "`basis` must be one or more vectors [vectors, width]; got shape "
                f"{list(basis.shape)}. Pass a direction as `direction[None]`."
            )
        if not basis.isfinite().all():
            raise ValueError(
                "`basis` must be finite; got NaN or infinity in it. Look where it was made."
            )
        lengths = basis.double().norm(dim=-1, keepdim=True)
        rank = int(torch.linalg.matrix_rank(basis.double() / lengths.clamp_min(1e-300)))
        if rank < len(basis):
            raise ValueError(
                f"`basis` must hold vectors that are linearly independent; got {len(basis)} of "
                f"rank {rank} in width {basis.shape[1]}. Drop those that others span."
            )

    def replacement(self, tensor: Tensor, resolved: ResolvedSite, hook: HookPoint) -> Tensor:
        current = resolved.read(tensor)
        if self.basis.shape[-1] != current.shape[-1]:
            raise ValueError(
                f"`basis` must have vectors of width {current.shape[-1]} at `{resolved.name}`; "
                f"got {self.basis.shape[-1]}. Pass vectors of that space."
            )
        values = source_values(self.source, resolved.name)
        other = resolved.read(expanded(values, tensor, resolved.name))
        rows = self.orthonormal().to(current)
        return current + (other - current) @ rows.T @ rows

    def orthonormal(self) -> Float[Tensor, "directions width"]:
        """Orthonormal vectors that span the same subspace, in float64; differentiable."""
        vectors = self.basis.double()
        lengths = vectors.norm(dim=-1, keepdim=True)  # so that QR sees no wide range of scales
        return torch.linalg.qr((vectors / lengths).T).Q.T
