"""Pooling by attention: a learned query reads the tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.hooks import HookPoint
from vitreous.models._config import TransformerConfig
from vitreous.models._mlp import MLP
from vitreous.models._norms import make_norm, normalize


class MapPooling(nn.Module):
    """Multi-head attention pooling; `pooled == attn_out + mlp_out`, or a norm of `attn_out`.

    `hook_q` and `hook_z` are `[batch 1 heads d_head]`, `hook_k` and `hook_v` `[batch tokens heads
    d_head]`, `hook_attn_scores` and `hook_pattern` `[batch heads 1 tokens]`; `hook_attn_out`,
    `hook_mlp_out` and `hook_pooled` are `[batch 1 d_out]`.

    The query is held as it meets the keys: projected and, where the source does so, normalized.
    Where it reads patches alone, the scores of the tokens in front of them are minus infinity.

    References:
        Zhai, Kolesnikov, Houlsby and Beyer, "Scaling Vision Transformers", 2022, appendix
        (MAP head); Lee et al., "Set Transformer", 2019, section 3.2.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        parts = config.pooling.map
        assert parts is not None
        self.n_heads, self.d_head = parts.n_heads, parts.d_head
        self.attn_scale = self.d_head**-0.5
        self.n_unread = 0 if config.pooling.counts_prefix else config.n_prefix
        width = parts.n_heads * parts.d_head
        self.query = nn.Parameter(torch.randn(parts.n_heads, parts.d_head))
        self.kv = nn.Linear(config.d_model, 2 * width, bias=parts.kv_bias)
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.k_norm = make_norm(self.d_head, parts.k_norm)
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()
        self.hook_z = HookPoint()
        self.out = nn.Linear(width, parts.d_out, bias=parts.out_bias)
        self.hook_attn_out = HookPoint()
        self.norm = make_norm(parts.d_out, parts.norm)
        self.mlp: MLP | None = None
        if parts.d_mlp is not None:
            self.mlp = MLP(parts.d_out, parts.d_mlp, parts.act_name)
            self.hook_mlp_out = HookPoint()
        self.out_norm = make_norm(parts.d_out, parts.out_norm)
        self.hook_pooled = HookPoint()

    def forward(self, x: Float[Tensor, "batch tokens d_model"]) -> Float[Tensor, "batch 1 d_out"]:
        q, k = self.hook_q(self.queries(x)), self.hook_k(self.keys(x))
        v = self.hook_v(self.values(x))
        k = normalize(self.k_norm, k)
        if self.hook_attn_scores.watched or self.hook_pattern.watched:
            scores = self.hook_attn_scores(self.scores(q, k))
            z = self.mix(self.hook_pattern(self.softmax(scores)), v)
        else:
            q, k, v = q.transpose(1, 2), self._read(k), self._read(v)
            z = functional.scaled_dot_product_attention(q, k, v, scale=self.attn_scale)
            z = z.transpose(1, 2)
        pooled = self.hook_attn_out(self.write(self.hook_z(z)))
        if self.mlp is not None:
            pooled = pooled + self.hook_mlp_out(self.mlp(normalize(self.norm, pooled)))
        return self.hook_pooled(normalize(self.out_norm, pooled))

    def fused(self, x: Float[Tensor, "batch tokens d_model"]) -> Float[Tensor, "batch 1 d_out"]:
        """The whole pooling, past all hooks."""
        k, v = self.keys(x), self.values(x)
        k = k if self.k_norm is None else self.k_norm.fused(k)
        return self._behind(self.mix(self.softmax(self.scores(self.queries(x), k)), v))

    def alone(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_out"]:
        """What each token is pooled to where it is the only one, past all hooks."""
        return self._behind(self.values(x))

    def queries(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch 1 heads d_head"]:
        """The one query, for every image."""
        return self.query.expand(len(x), 1, -1, -1)

    def keys(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        return self._half(x, 0)

    def values(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        return self._half(x, 1)

    def scores(
        self,
        q: Float[Tensor, "batch queries heads d_head"],
        k: Float[Tensor, "batch keys heads d_head"],
    ) -> Float[Tensor, "batch heads queries keys"]:
        """Exactly what the softmax sees."""
        read = (q.transpose(1, 2) * self.attn_scale) @ self._read(k).transpose(2, 3)
        return functional.pad(read, (self.n_unread, 0), value=-torch.inf)

    def softmax(
        self, scores: Float[Tensor, "batch heads 1 keys"]
    ) -> Float[Tensor, "batch heads 1 keys"]:
        return scores.softmax(-1)

    def mix(
        self,
        pattern: Float[Tensor, "batch heads queries keys"],
        v: Float[Tensor, "batch keys heads d_head"],
    ) -> Float[Tensor, "batch queries heads d_head"]:
        """Values averaged by the pattern."""
        return (pattern @ v.transpose(1, 2)).transpose(1, 2)

    def write(
        self, z: Float[Tensor, "batch queries heads d_head"]
    ) -> Float[Tensor, "batch queries d_out"]:
        return self.out(z.flatten(2))

    def token_directions(
        self,
        direction: Float[Tensor, "batch d_out"],
        pattern: Float[Tensor, "batch heads 1 tokens"],
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Directions at every token that read what its values carry to a direction of `attn_out`.

        `(token_directions(d, p) * x).sum(tokens, d_model) + (d * bias).sum() == (d * attn_out)`,
        with the pattern held and `bias` what `output_bias` gives.
        """
        per_head = torch.einsum("bm,mhd->bhd", direction, self._out_per_head)
        W_V = self.kv.weight.chunk(2)[1].unflatten(0, (self.n_heads, self.d_head))
        read = torch.einsum("bhd,hdm->bhm", per_head, W_V)
        return torch.einsum("bht,bhm->btm", pattern.squeeze(2), read)

    @property
    def output_bias(self) -> Float[Tensor, " d_out"]:
        """What `attn_out` is beside what tokens carry there: a pattern's rows sum to one."""
        bias = self.out.weight.new_zeros(self.out.out_features)
        bias = bias if self.out.bias is None else bias + self.out.bias
        if self.kv.bias is not None:
            bias = bias + self.out.weight @ self.kv.bias.chunk(2)[1]
        return bias

    @property
    def _out_per_head(self) -> Float[Tensor, "d_out heads d_head"]:
        return self.out.weight.unflatten(1, (self.n_heads, self.d_head))

    def _behind(
        self, z: Float[Tensor, "batch queries heads d_head"]
    ) -> Float[Tensor, "batch queries d_out"]:
        pooled = self.write(z)
        if self.mlp is not None:
            read = pooled if self.norm is None else self.norm.fused(pooled)
            pooled = pooled + self.mlp.project_out(self.mlp.activation(self.mlp.fc_in(read)))
        return pooled if self.out_norm is None else self.out_norm.fused(pooled)

    def _read(self, x: Tensor) -> Float[Tensor, "batch heads keys d_head"]:
        """Keys or values of the tokens that are read."""
        return x[:, self.n_unread :].transpose(1, 2)

    def _half(self, x: Tensor, place: int) -> Tensor:
        weight = self.kv.weight.chunk(2)[place]
        bias = None if self.kv.bias is None else self.kv.bias.chunk(2)[place]
        return functional.linear(x, weight, bias).unflatten(-1, (self.n_heads, self.d_head))
