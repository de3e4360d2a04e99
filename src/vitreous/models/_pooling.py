"""From the last residual stream to what the head sees, as weights on tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.models._config import HookedViTConfig
from vitreous.models._layout import TokenLayout
from vitreous.models._map_pooling import MapPooling


class Head(nn.Module):
    """Reads pooled features: one linear map per token group that is read.

    `W_U` `[d_model labels]` and `b_U` are those of the (class token's) head, `W_U_distillation` and
    `b_U_distillation` those of the distillation token's; the logits of the two are averaged.
    """

    def __init__(self, config: HookedViTConfig) -> None:
        super().__init__()
        self.linear = _linear(config)
        self.distillation = _linear(config) if config.distillation_token else None

    def forward(self, pooled: list[Tensor]) -> Tensor:
        """Logits, averaged over the heads; the pooled features where there is no head."""
        heads = [self.linear, self.distillation]
        outputs = [x if head is None else head(x) for x, head in zip(pooled, heads, strict=False)]
        return outputs[0] if len(outputs) == 1 else (outputs[0] + outputs[1]) / 2


class Pooling(nn.Module):
    """Which tokens are read, and with what weight."""

    def __init__(self, config: HookedViTConfig) -> None:
        super().__init__()
        self.kind = config.pooling.kind
        self.counts_prefix = config.pooling.counts_prefix
        self.reads_distillation = self.kind == "cls" and config.distillation_token
        self.map = MapPooling(config) if self.kind == "map" else None

    def forward(
        self, x: Float[Tensor, "batch tokens d_model"], layout: TokenLayout
    ) -> list[Float[Tensor, "batch *tokens d_pooled"]]:
        """One pooled vector per image and head; all tokens with `"none"`."""
        if self.map is not None:
            return [self.map(x)[:, 0]]
        if self.kind == "none":
            return [x]
        if self.kind == "mean":
            return [self._mean(x, layout)]
        if self.kind == "cls_mean":
            return [torch.cat([x[:, 0], self._mean(x, layout)], -1)]
        return [x[:, i] for i in range(1 + self.reads_distillation)]

    def alone(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_pooled"]:
        """What each token is pooled to where it is the only one: a class token, and a patch."""
        if self.map is not None:
            return self.map.alone(x)
        return torch.cat([x, x], -1) if self.kind == "cls_mean" else x

    def token_weights(self, layout: TokenLayout, like: Tensor) -> list[Float[Tensor, " tokens"]]:
        """Weights on tokens, one row for each vector that they are pooled to.

        A pooled vector is `(weights[:, None] * x).sum(tokens)`. There is one per head, and with
        `"cls_mean"` the two halves of what the head reads. A learned query has none: its weights
        are the pattern of a run.
        """
        if self.kind == "none":
            raise ValueError(
                "A readout needs one vector per image; got pooling 'none', which gives one per "
                "token. Use a metric function, or choose a pooling."
            )
        single = list(torch.eye(layout.n_tokens, dtype=like.dtype, device=like.device)[:2])
        if self.kind == "cls":
            return single[: 1 + self.reads_distillation]
        first = 0 if self.counts_prefix else layout.n_prefix
        weights = like.new_zeros(layout.n_tokens)
        weights[first:] = 1 / (layout.n_tokens - first)
        return [weights] if self.kind == "mean" else [single[0], weights]

    def _mean(self, x: Tensor, layout: TokenLayout) -> Float[Tensor, "batch d_model"]:
        return x[:, 0 if self.counts_prefix else layout.n_prefix :].mean(1)


def _linear(config: HookedViTConfig) -> nn.Linear | None:
    if config.n_classes is None:
        return None
    return nn.Linear(config.d_pooled, config.n_classes, bias=config.head_bias)
