"""What every source of a graph writes in a run."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.models import GlassTransformer, Pairs, TransformerCache, within_memory

Baseline = Literal["corrupt", "zero", "mean"]


@dataclass(frozen=True)
class Written:
    """What the input, heads and MLPs write; a head by what it has read, its `z`.

    Attributes:
        input: The stream that enters the first block.
        z: What the heads of each block have read; what they write is linear in it.
        mlps: What the MLP of each block adds; None in models without.
    """

    input: Float[Tensor, "#batch tokens d_model"]
    z: Float[Tensor, "layers #batch tokens heads d_head"]
    mlps: Float[Tensor, "layers #batch tokens d_model"] | None

    @classmethod
    def of(cls, cache: TransformerCache) -> "Written":
        """What they wrote in a run that stored `names_written`."""
        model = cache.model
        z = [cache.at(f"blocks.{layer}.attn.hook_z") for layer in range(model.cfg.n_layers)]
        mlps = None
        if not model.cfg.attn_only:
            names = [f"blocks.{layer}.hook_mlp_out" for layer in range(model.cfg.n_layers)]
            mlps = torch.stack([cache.at(name) for name in names])
        return cls(cache.at("blocks.0.hook_resid_pre"), torch.stack(z), mlps)

    def scaled(self, factor: float) -> "Written":
        mlps = None if self.mlps is None else self.mlps * factor
        return Written(self.input * factor, self.z * factor, mlps)

    def plus(self, other: "Written") -> "Written":
        mlps = None
        if self.mlps is not None and other.mlps is not None:
            mlps = self.mlps + other.mlps
        return Written(self.input + other.input, self.z + other.z, mlps)

    def for_each(self, count: int) -> "Written":
        """The same for `count` images, where it is there once."""
        mlps = None if self.mlps is None else self.mlps.expand(-1, count, -1, -1)
        z = self.z.expand(-1, count, -1, -1, -1)
        return Written(self.input.expand(count, -1, -1), z, mlps)

    def mean(self) -> "Written":
        """Over images, token by token."""
        mlps = None if self.mlps is None else self.mlps.mean(1, keepdim=True)
        return Written(self.input.mean(0, keepdim=True), self.z.mean(1, keepdim=True), mlps)


def names_written(model: GlassTransformer) -> list[str]:
    """Hook points that tell what sources write."""
    layers = range(model.cfg.n_layers)
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{i}.attn.hook_z" for i in layers)]
    if not model.cfg.attn_only:
        names += [f"blocks.{i}.hook_mlp_out" for i in layers]
    return names


def written_in(model: GlassTransformer, inputs: Tensor) -> Written:
    """What sources write in a run on some inputs."""
    with torch.no_grad(), within_memory(len(inputs)):
        _, cache = model.run_with_cache(inputs, names_filter=names_written(model), return_type=None)
        return Written.of(cache)


def stand_in(
    pairs: Pairs, baseline: Baseline | Written = "corrupt", *, max_batch: int = 64
) -> Written | None:
    """What removed edges carry, where that is the same for all pairs; None for each pair's own.

    Args:
        pairs: Whose corrupt images `"mean"` is taken over, token by token.
        baseline: `"corrupt"`, `"zero"`, `"mean"`, or what sources write.
        max_batch: The most images that run at once.
    """
    require_batch(max_batch)
    if isinstance(baseline, Written):
        return baseline
    if baseline not in ("corrupt", "zero", "mean"):
        raise ValueError(
            f"`baseline` must be 'corrupt', 'zero' or 'mean'; got {baseline!r}. Pass one of them."
        )
    if baseline == "corrupt":
        return None
    if baseline == "zero":
        return written_in(pairs.model, pairs.corrupt[:1]).scaled(0.0)
    parts = [
        written_in(pairs.model, batch.corrupt).mean().scaled(len(batch) / len(pairs))
        for batch in pairs.batches(max_batch)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


def require_batch(max_batch: int, name: str = "max_batch") -> None:
    """Raises `ValueError` where not even one row may run."""
    if max_batch < 1:
        raise ValueError(f"`{name}` must be 1 or more; got {max_batch}. Pass 64.")
