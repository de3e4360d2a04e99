"""From the last residual stream to what the head sees, as weights on tokens."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vitreous.models._config import TransformerConfig
from vitreous.models._map_pooling import MapPooling
from vitreous.models._part_configs import PLACES
from vitreous.models._positions import Layout


class Head(nn.Module):
    """Reads pooled features: one linear map per token group that is read.

    `W_U` `[d_model labels]` and `b_U` are those of the (class token's) head, `W_U_distillation` and
    `b_U_distillation` those of the distillation token's; the logits of the two are averaged.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.linear = _linear(config)
        self.distillation = _linear(config) if config.has_second_head else None

    def forward(self, pooled: list[Tensor]) -> Tensor:
        """Logits, averaged over the heads; the pooled features where there is no head."""
        heads = [self.linear, self.distillation]
        outputs = [x if head is None else head(x) for x, head in zip(pooled, heads, strict=False)]
        return outputs[0] if len(outputs) == 1 else (outputs[0] + outputs[1]) / 2


class Pooling(nn.Module):
    """Which tokens are read, and with what weight."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.kind = config.pooling.kind
        self.counts_prefix = config.pooling.counts_prefix
        self.reads_distillation = self.kind == "cls" and config.has_second_head
        self.map = MapPooling(config) if self.kind == "map" else None

    def forward(
        self, x: Float[Tensor, "batch tokens d_model"], layout: Layout
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
        if self.kind == "first":
            return [x[:, 0]]
        if self.kind in PLACES:
            return [x[torch.arange(len(x), device=x.device), self._read(layout)]]
        return [x[:, i] for i in range(1 + self.reads_distillation)]

    @property
    def n_first(self) -> int | None:
        """How many tokens are read, where those are the first ones alone; None elsewhere."""
        if self.kind == "cls":
            return 1 + self.reads_distillation
        return 1 if self.kind == "first" else None

    def fused(
        self, x: Float[Tensor, "batch tokens d_model"], layout: Layout
    ) -> list[Float[Tensor, "batch *tokens d_pooled"]]:
        """The same, past all hooks."""
        return self(x, layout) if self.map is None else [self.map.fused(x)[:, 0]]

    def alone(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_pooled"]:
        """What each token is pooled to where it is the only one: a class token, and a patch."""
        if self.map is not None:
            return self.map.alone(x)
        return torch.cat([x, x], -1) if self.kind == "cls_mean" else x

    def token_weights(self, layout: Layout, like: Tensor) -> list[Float[Tensor, "*#batch tokens"]]:
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
        each = torch.eye(layout.n_tokens, dtype=like.dtype, device=like.device)
        single = list(each[:2])
        if self.kind == "cls":
            return single[: 1 + self.reads_distillation]
        if self.kind == "first":
            return single[:1]
        if self.kind in PLACES:
            return [each[self._read(layout)]]
        counted = self._counted(layout).to(like)
        weights = counted / counted.sum(-1, keepdim=True)
        return [weights] if self.kind == "mean" else [single[0], weights]

    def _read(self, layout: Layout) -> Int[Tensor, " batch"]:
        if layout.read is None:
            raise ValueError(
                "The token that ends each text must be known; got a stream alone. Pass "
                "`layout=model.layout_for(tokens)` of the texts that it came from."
            )
        return layout.read

    def _mean(self, x: Tensor, layout: Layout) -> Float[Tensor, "batch d_model"]:
        if layout.hidden is None:
            return x[:, self._first(layout) :].mean(1)
        counted = self._counted(layout).to(x)
        return torch.einsum("btm,bt->bm", x, counted) / counted.sum(-1, keepdim=True)

    def _counted(self, layout: Layout) -> Bool[Tensor, "*#batch tokens"]:
        """The tokens that a mean counts."""
        counted = torch.arange(layout.n_tokens) >= self._first(layout)
        hidden = layout.hidden
        return counted if hidden is None else ~hidden & counted.to(hidden.device)

    def _first(self, layout: Layout) -> int:
        return 0 if self.counts_prefix else layout.n_prefix


def _linear(config: TransformerConfig) -> nn.Linear | None:
    if config.n_classes is None:
        return None
    return nn.Linear(config.d_pooled, config.n_classes, bias=config.head_bias)
