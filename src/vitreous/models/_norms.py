"""Norms that show the scale they divide by."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.hooks import HookPoint
from vitreous.models._part_configs import NormConfig


class Norm(nn.Module):
    """LayerNorm or RMSNorm over the last dimension, in one fused call unless its scale is hooked.

    `hook_scale` is the denominator, `hook_normalized` the result after gain and bias.
    """

    def __init__(self, width: int, config: NormConfig) -> None:
        super().__init__()
        self.width = width
        self.config = config
        if config.affine:
            self.w = nn.Parameter(torch.ones(width))
        else:
            self.register_parameter("w", None)
        if config.affine and config.kind == "layer":
            self.b = nn.Parameter(torch.zeros(width))
        else:
            self.register_parameter("b", None)
        self.hook_scale = HookPoint()
        self.hook_normalized = HookPoint()

    @property
    def centers(self) -> bool:
        """Whether the mean over the last dimension is taken off."""
        return self.config.kind == "layer"

    def forward(self, x: Float[Tensor, "*#batch width"]) -> Float[Tensor, "*#batch width"]:
        if self.hook_scale.watched:
            normalized = self.divide(x, self.hook_scale(self.scale(x)))
        else:
            normalized = self.fused(x)
        return self.hook_normalized(normalized)

    def with_scale(
        self, x: Float[Tensor, "*#batch width"]
    ) -> tuple[Float[Tensor, "*#batch width"], Float[Tensor, "*#batch 1"]]:
        """The norm with all its hooks, and the denominator that it divided by."""
        scale = self.hook_scale(self.scale(x))
        return self.hook_normalized(self.divide(x, scale)), scale

    def fused(self, x: Float[Tensor, "*#batch width"]) -> Float[Tensor, "*#batch width"]:
        """The whole norm in one call, past all hooks."""
        if self.centers:
            return functional.layer_norm(x, (self.width,), self.w, self.b, self.config.eps)
        return functional.rms_norm(x, (self.width,), self.w, self.config.eps)

    def scale(self, x: Float[Tensor, "*#batch width"]) -> Float[Tensor, "*#batch 1"]:
        """The denominator: standard deviation or root mean square, with eps under the root."""
        squares = self.centered(x).pow(2).mean(-1, keepdim=True)
        return (squares + self.config.eps).sqrt()

    def centered(self, x: Float[Tensor, "*#batch width"]) -> Float[Tensor, "*#batch width"]:
        """`x` without its mean, where this norm takes that off; `x` itself elsewhere."""
        return x - x.mean(-1, keepdim=True) if self.centers else x

    def divide(
        self, x: Float[Tensor, "*#batch width"], scale: Float[Tensor, "*#batch 1"]
    ) -> Float[Tensor, "*#batch width"]:
        """The norm at a given scale, gain and bias included."""
        return self.linear(x, scale) if self.b is None else self.linear(x, scale) + self.b

    def linear(
        self, x: Float[Tensor, "*#batch width"], scale: Float[Tensor, "*#batch 1"]
    ) -> Float[Tensor, "*#batch width"]:
        """The part of the norm that is linear in `x` once the scale is frozen: no bias."""
        divided = self.centered(x) / scale
        return divided if self.w is None else divided * self.w

    def transposed(
        self,
        direction: Float[Tensor, "*#batch width"],
        scale: Float[Tensor, "*#batch 1"],
        *,
        centered: bool = True,
    ) -> Float[Tensor, "*#batch width"]:
        """Takes a direction behind the norm to the one in front of it that reads the same.

        `(transposed(d, s) * x).sum(-1) == (d * linear(x, s)).sum(-1)` for every x. Without
        `centered` that holds for every x whose mean is zero already.
        """
        weighted = direction if self.w is None else direction * self.w
        return (self.centered(weighted) if centered else weighted) / scale

    def gradient(
        self, behind: Float[Tensor, "*#batch width"], x: Float[Tensor, "*#batch width"]
    ) -> Float[Tensor, "*#batch width"]:
        """Takes a gradient behind the norm, at `x`, to the one in front of it.

        Unlike `transposed`, it counts how the scale moves with `x`.
        """
        scale = self.scale(x)
        direct, divided = self.transposed(behind, scale), self.centered(x) / scale
        # With u the weighted gradient and n what was divided: (centered(u) - n mean(u n)) / scale.
        return direct - divided * (direct * divided).mean(-1, keepdim=True)


def make_norm(width: int, config: NormConfig | None) -> Norm | None:
    """The norm that a config asks for; None where it asks for none."""
    return None if config is None else Norm(width, config)


def normalize(norm: Norm | None, x: Tensor) -> Tensor:
    """`x` through a norm that may not be there."""
    return x if norm is None else norm(x)


def normalize_own(norm: Norm | None, x: Tensor) -> Tensor:
    """The same for inputs that differ from head to head, past the hooks of the shared one."""
    return x if norm is None else norm.fused(x)
