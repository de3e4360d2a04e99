"""Self-attention with every intermediate value on show, fused unless somebody looks inside."""

import einops
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.hooks import HookPoint
from vitreous.models._config import HookedViTConfig, TransformerConfig
from vitreous.models._factored_matrix import FactoredMatrix
from vitreous.models._norms import make_norm, normalize
from vitreous.models._read_only import no_bias, scaled
from vitreous.models._rotary import Rotary
from vitreous.models._score_bias import RelativeBias, is_future
from vitreous.models._space_time import Reach


class Attention(nn.Module):
    """Multi-head self-attention.

    `hook_q`, `hook_k`, `hook_v` and `hook_z` are `[batch tokens heads d_head]`,
    `hook_attn_scores` (what the softmax sees) and `hook_pattern` `[batch heads queries keys]`,
    `hook_result` `[batch tokens heads d_model]`: what each head writes, LayerScale included and
    the output bias not; with a norm behind `z` or behind the output, at the scale that it has in
    the run. Watching scores or pattern runs that step explicitly; otherwise the whole of it is
    one `scaled_dot_product_attention`. All tokens attend to all, or within a `reach`; scores are
    then minus infinity where nobody looks.
    """

    def __init__(
        self,
        config: TransformerConfig,
        layer: int = 0,
        rotary: Rotary | None = None,
        reach: Reach | None = None,
    ):
        super().__init__()
        self.reach = reach
        self.layer = layer
        # In a tuple, since it is a part of the model: a part of every block would be saved often.
        self._rotary = (rotary,)
        parts, width = config.attention, config.n_heads * config.head_width
        self.n_heads, self.d_head = config.n_heads, config.head_width
        self.attn_scale = self.d_head**-0.5
        self.qkv = nn.Linear(config.d_model, 3 * width, bias=parts.qkv_bias)
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.q_norm = make_norm(self.d_head, parts.qk_norm)
        self.k_norm = make_norm(self.d_head, parts.qk_norm)
        if rotary is not None:
            self.hook_rot_q, self.hook_rot_k = HookPoint(), HookPoint()
        self.relative_bias = (
            RelativeBias(config.grid, config.n_heads)
            if isinstance(config, HookedViTConfig) and parts.relative_bias
            else None
        )
        self.causal = parts.causal
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()
        self.hook_z = HookPoint()
        self.z_norm = make_norm(width, parts.z_norm)
        self.out = nn.Linear(width, config.d_model, bias=parts.out_bias)
        self.gain = nn.Parameter(torch.ones(config.d_model)) if config.layer_scale else None
        self.out_norm = make_norm(config.d_model, config.out_norm)
        self.hook_result = HookPoint(on_demand=True)

    @property
    def rotary(self) -> Rotary | None:
        """The model's tables of angles."""
        return self._rotary[0]

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        per_head: dict[str, Float[Tensor, "batch tokens heads d_model"]] | None = None,
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What attention adds to the stream.

        The stages that follow are methods of their own, so that a run can go on from each:
        `from_projections`, `from_met`, `from_scores`, `from_pattern` and `from_z`. What such a
        method takes has been by its hook points.

        Args:
            x: The normalized stream.
            per_head: Normalized inputs of their own for `"q"`, `"k"` or `"v"`, where those differ
                from head to head.
            hidden: Tokens that nobody attends to; None for none.
        """
        q, k, v = self.project(x)
        for letter, own in (per_head or {}).items():
            projected = self.project_heads(letter, own)
            q, k, v = (
                projected if letter == each else value
                for each, value in (("q", q), ("k", k), ("v", v))
            )
        return self.from_projections(self.hook_q(q), self.hook_k(k), self.hook_v(v), hidden)

    def of_first(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        first: int,
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """What attention adds to the first tokens alone, where nobody hooks it."""
        if self.reach is not None:
            return self(x, hidden=hidden)[:, :first]
        q, k, v = self.project_one("q", x[:, :first]), *self.project_keys_and_values(x)
        return self.from_projections(q, k, v, hidden)

    def from_projections(
        self,
        q: Float[Tensor, "batch queries heads d_head"],
        k: Float[Tensor, "batch keys heads d_head"],
        v: Float[Tensor, "batch keys heads d_head"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """The rest, from the linear outputs."""
        q, k = normalize(self.q_norm, q), normalize(self.k_norm, k)
        return self.from_met(self.turned("q", q), self.turned("k", k), v, hidden)

    def meeting(
        self, letter: str, x: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries or keys as the other ones meet them, from the linear output; values stay."""
        if letter == "v":
            return x
        return self.turned(letter, normalize(self.q_norm if letter == "q" else self.k_norm, x))

    def turned(
        self, letter: str, x: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries or keys by their places, where those turn them."""
        if self.rotary is None:
            return x
        return (self.hook_rot_q if letter == "q" else self.hook_rot_k)(self.turn(x))

    def meeting_point(self, letter: str) -> str:
        """The point, by its name in here, at which queries, keys or values are as they meet."""
        if letter == "v":
            return "hook_v"
        if self.rotary is not None:
            return f"hook_rot_{letter}"
        norm = self.q_norm if letter == "q" else self.k_norm
        return f"hook_{letter}" if norm is None else f"{letter}_norm.hook_normalized"

    def from_met(
        self,
        q: Float[Tensor, "batch queries heads d_head"],
        k: Float[Tensor, "batch keys heads d_head"],
        v: Float[Tensor, "batch keys heads d_head"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """The rest, from queries and keys as they meet. Fewer queries are the first ones."""
        if self.hook_attn_scores.watched or self.hook_pattern.watched:
            return self.from_scores(self.hook_attn_scores(self.scores(q, k, hidden)), v)
        return self.from_z(self.hook_z(self.fused(q, k, v, hidden)))

    def from_scores(
        self,
        scores: Float[Tensor, "batch heads queries keys"],
        v: Float[Tensor, "batch keys heads d_head"],
    ) -> Float[Tensor, "batch queries d_model"]:
        """The rest, from what the softmax sees."""
        return self.from_pattern(self.hook_pattern(self.softmax(scores)), v)

    def from_pattern(
        self,
        pattern: Float[Tensor, "batch heads queries keys"],
        v: Float[Tensor, "batch keys heads d_head"],
    ) -> Float[Tensor, "batch queries d_model"]:
        """The rest, from who attends to whom."""
        return self.from_z(self.hook_z(self.mix(pattern, v)))

    def from_z(
        self, z: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The rest, from what the heads have read."""
        return self.write_by_heads(z) if self.hook_result.watched else self.write(z)

    def project(self, x: Float[Tensor, "batch tokens d_model"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as views of one product."""
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, self.d_head))
        return qkv.unbind(2)

    def project_keys_and_values(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> tuple[Tensor, Tensor]:
        """Keys and values without queries, as views of one product."""
        width = self.out.in_features
        bias = None if self.qkv.bias is None else self.qkv.bias[width:]
        kv = functional.linear(x, self.qkv.weight[width:], bias)
        k, v = kv.unflatten(-1, (2, self.n_heads, self.d_head)).unbind(2)
        return k, v

    def project_one(
        self, letter: str, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries, keys or values alone."""
        rows = self._rows(letter)
        bias = None if self.qkv.bias is None else self.qkv.bias[rows]
        projected = functional.linear(x, self.qkv.weight[rows], bias)
        return projected.unflatten(-1, (self.n_heads, self.d_head))

    def project_heads(
        self, letter: str, x: Float[Tensor, "batch tokens heads d_model"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries, keys or values where every head reads an input of its own."""
        projected = torch.einsum("bthm,hmd->bthd", x, self.weight(letter))
        return projected if self.qkv.bias is None else projected + self.bias(letter)

    def scores(
        self,
        q: Float[Tensor, "batch queries heads d_head"],
        k: Float[Tensor, "batch keys heads d_head"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch heads queries keys"]:
        """Exactly what the softmax sees."""
        scores = (q.transpose(1, 2) * self.attn_scale) @ k.permute(0, 2, 3, 1)
        bias = self.score_bias(k, hidden)
        return scores if bias is None else scores + bias[..., : q.shape[1], :]

    def score_bias(
        self,
        k: Float[Tensor, "batch tokens heads d_head"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "#batch #heads queries keys"] | None:
        """What is added to the scores beside their product; minus infinity where nobody looks.

        Of three dimensions, the fused kernel wouldn't take it.
        """
        bias = None if self.relative_bias is None else self.relative_bias().to(k.dtype)[None]
        if not self.causal and hidden is None and self.reach is None:
            return bias
        n_tokens = k.shape[1]
        bias = k.new_zeros(1, 1, n_tokens, n_tokens) if bias is None else bias
        if self.reach is not None:
            bias = bias.masked_fill(~self.reach.sees(n_tokens, k.device), float("-inf"))
        if self.causal:
            bias = bias.masked_fill(is_future(n_tokens, k.device), float("-inf"))
        if hidden is None:
            return bias
        return bias.masked_fill(hidden[:, None, None, :], float("-inf"))

    def turn(
        self, x: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Queries or keys behind their norm, turned by the angles of their places."""
        assert self.rotary is not None
        return self.rotary.turn(x, self.layer)

    def softmax(
        self, scores: Float[Tensor, "batch heads queries keys"]
    ) -> Float[Tensor, "batch heads queries keys"]:
        return scores.softmax(-1) if self.reach is None else self.reach.softmax(scores)

    def mix(
        self,
        pattern: Float[Tensor, "batch heads queries keys"],
        v: Float[Tensor, "batch keys heads d_head"],
    ) -> Float[Tensor, "batch queries heads d_head"]:
        """Values averaged by the pattern."""
        return (pattern @ v.transpose(1, 2)).transpose(1, 2)

    def fused(
        self,
        q: Float[Tensor, "batch queries heads d_head"],
        k: Float[Tensor, "batch keys heads d_head"],
        v: Float[Tensor, "batch keys heads d_head"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch queries heads d_head"]:
        """`mix(softmax(scores(q, k, hidden)), v)` in one kernel."""
        if self.reach is not None:
            return self.reach.fused(q, k, v, self._fused)
        return self._fused(q, k, v, hidden)

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Over whole sequences."""
        is_plain = self.relative_bias is None and hidden is None
        bias = None if is_plain else self.score_bias(k, hidden)
        bias = bias if bias is None else bias[..., : q.shape[1], :]
        is_causal = self.causal and bias is None
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        z = functional.scaled_dot_product_attention(
            q, k, v, bias, scale=self.attn_scale, is_causal=is_causal
        )
        return z.transpose(1, 2)

    def write(
        self, z: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What attention adds to the stream, in one product."""
        return normalize(self.out_norm, self.project_out(normalize(self.z_norm, z.flatten(2))))

    def write_by_heads(
        self, z: Float[Tensor, "batch tokens heads d_head"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The same, with what each head writes on show."""
        written, scales = z.flatten(2), {}
        if self.z_norm is not None:
            written, scales["z_norm"] = self.z_norm.with_scale(written)
        written = self.project_out(written)
        if self.out_norm is not None:
            written, scales["out_norm"] = self.out_norm.with_scale(written)
        results = self.results(z, scales)
        return self.with_changed_results(written, results, self.hook_result(results))

    def with_changed_results(
        self,
        written: Float[Tensor, "batch tokens d_model"],
        results: Float[Tensor, "batch tokens heads d_model"],
        changed: Float[Tensor, "batch tokens heads d_model"],
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What is added where a hook changed results: the norms keep what the heads had written."""
        return written if changed is results else written + (changed - results).sum(2)

    def project_out(
        self, z: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The output weight, behind the norm of `z` and in front of that of the output."""
        n_idle = self.n_idle
        if not n_idle:
            return self._gained(self.out(z))
        idle = functional.linear(z[:, :n_idle], self.out.weight)
        return self._gained(torch.cat([idle, self.out(z[:, n_idle:])], 1))

    @property
    def n_idle(self) -> int:
        """Tokens, the first ones, that take no part and get no bias."""
        return 0 if self.reach is None else self.reach.n_idle

    @property
    def norms_of_output(self) -> list[str]:
        """Those of `z_norm` and `out_norm` that there are; results depend on their scales."""
        norms = {"z_norm": self.z_norm, "out_norm": self.out_norm}
        return [name for name, norm in norms.items() if norm is not None]

    def results(
        self,
        z: Float[Tensor, "batch tokens heads d_head"],
        scales: dict[str, Float[Tensor, "batch tokens 1"]],
    ) -> Float[Tensor, "batch tokens heads d_model"]:
        """What each head writes; their sum and `output_bias` are what attention adds.

        Args:
            z: What each head has read.
            scales: The denominators of `norms_of_output`, which are held.
        """
        results = torch.einsum("bthd,hdm->bthm", z, self._result_weight())
        if self.z_norm is not None:
            results = results / scales["z_norm"][:, :, None]
        if self.out_norm is not None:
            results = self.out_norm.linear(results, scales["out_norm"][:, :, None])
        return results

    def result_directions(
        self,
        directions: Float[Tensor, "batch tokens d_model"],
        scales: dict[str, Float[Tensor, "batch tokens 1"]],
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Takes directions in the stream to those on each head's `z` that read the same.

        `(result_directions(d, s) * z).sum(-1) == (d[:, :, None] * results(z, s)).sum(-1)`, without
        the dimension `d_model` for every head.
        """
        if self.out_norm is not None:
            directions = self.out_norm.transposed(directions, scales["out_norm"])
        read = torch.einsum("btm,hdm->bthd", directions, self._result_weight())
        return read if self.z_norm is None else read / scales["z_norm"][:, :, None]

    def output_bias(
        self, scales: dict[str, Float[Tensor, "batch tokens 1"]]
    ) -> Float[Tensor, "*#batch d_model"]:
        """What attention adds that no head wrote, to tokens that take part.

        With a norm behind the output, it differs from token to token.
        """
        weight, bias = self.out.weight, self.out.bias
        bias = weight.new_zeros(len(weight)) if bias is None else self._gained(bias)
        if self.z_norm is not None and self.z_norm.b is not None:
            bias = bias + self._gained(weight @ self.z_norm.b)
        return bias if self.out_norm is None else self.out_norm.divide(bias, scales["out_norm"])

    # ---- weights, per head

    def weight(self, letter: str) -> Float[Tensor, "heads d_model d_head"]:
        """A live view of the fused weight: what is written to it changes the model."""
        rows = self.qkv.weight[self._rows(letter)]
        return rows.view(self.n_heads, self.d_head, -1).transpose(1, 2)

    def bias(self, letter: str) -> Float[Tensor, "heads d_head"]:
        """A live view of the fused bias; zeros, not to be written to, where the model has none."""
        if self.qkv.bias is None:
            name, shape = f"attn.b_{letter.upper()}", (self.n_heads, self.d_head)
            return no_bias(name, self.qkv.weight, shape, "attention.qkv_bias=True")
        return self.qkv.bias[self._rows(letter)].view(self.n_heads, -1)

    @property
    def W_Q(self) -> Float[Tensor, "heads d_model d_head"]:
        return self.weight("q")

    @property
    def W_K(self) -> Float[Tensor, "heads d_model d_head"]:
        return self.weight("k")

    @property
    def W_V(self) -> Float[Tensor, "heads d_model d_head"]:
        return self.weight("v")

    @property
    def b_Q(self) -> Float[Tensor, "heads d_head"]:
        return self.bias("q")

    @property
    def b_K(self) -> Float[Tensor, "heads d_head"]:
        return self.bias("k")

    @property
    def b_V(self) -> Float[Tensor, "heads d_head"]:
        return self.bias("v")

    @property
    def W_O(self) -> Float[Tensor, "heads d_head d_model"]:
        """What turns a head's `z` into what it writes.

        A live view of the weight; with a separate LayerScale gain, the product with it, for
        reading.
        """
        view = self._output_weight()
        return view if self.gain is None else scaled("attn.W_O", self._gained(view), "out.weight")

    @property
    def b_O(self) -> Float[Tensor, " d_model"]:
        """The output bias; times a LayerScale gain, or zeros where there is none, for reading."""
        bias = self.out.bias
        if bias is None:
            shape = (self.out.out_features,)
            return no_bias("attn.b_O", self.out.weight, shape, "attention.out_bias=True")
        return bias if self.gain is None else scaled("attn.b_O", self._gained(bias), "out.bias")

    @property
    def OV(self) -> FactoredMatrix:
        """`W_V @ W_O` per head: what a head writes of what it attends to.

        Raises:
            ValueError: With a norm between or behind the two there is no such fixed matrix.
        """
        if self.norms_of_output:
            does = "have read" if self.z_norm is not None else "write"
            raise ValueError(
                "`OV` needs an output that is linear in the values; got a model that normalizes "
                f"what its heads {does}. Use `hook_result` of a run."
            )
        return FactoredMatrix(self.W_V, self.W_O)

    @property
    def QK(self) -> FactoredMatrix:
        """`W_Q @ W_K.T` per head (unscaled): how much one residual attends to another.

        Raises:
            ValueError: With a norm or a turn of queries and keys there is no such fixed matrix.
        """
        if self.q_norm is not None or self.rotary is not None:
            does = "turns" if self.q_norm is None else "normalizes"
            raise ValueError(
                "`QK` needs scores that are bilinear in the residual stream; got a model that "
                f"{does} queries and keys. Read `hook_attn_scores` of a run."
            )
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-1, -2))

    def _result_weight(self) -> Float[Tensor, "heads d_head d_model"]:
        """From `z` to results, but for the scales of norms, and for the one of the output."""
        weight = self._gained(self._output_weight())
        if self.z_norm is None:
            return weight
        rows = weight.flatten(0, 1)
        rows = rows if self.z_norm.w is None else rows * self.z_norm.w[:, None]
        rows = self.z_norm.centered(rows.T).T  # taking the mean off z, seen from the output
        return rows.unflatten(0, weight.shape[:2])

    def _output_weight(self) -> Float[Tensor, "heads d_head d_model"]:
        return einops.rearrange(self.out.weight, "m (h d) -> h d m", h=self.n_heads)

    def _gained(self, written: Tensor) -> Tensor:
        return written if self.gain is None else written * self.gain

    def _rows(self, letter: str) -> slice:
        width = self.out.in_features
        place = "qkv".index(letter)
        return slice(place * width, (place + 1) * width)
