"""One transformer block."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks import HookPoint
from vitreous.models._attention import Attention
from vitreous.models._config import TransformerConfig
from vitreous.models._mlp import MLP
from vitreous.models._norms import make_norm, normalize
from vitreous.models._rotary import Rotary


class Block(nn.Module):
    """Attention and MLP, each added to the residual stream.

    One after the other: `resid_mid == resid_pre + attn_out`, `resid_post == resid_mid + mlp_out`.
    Side by side, both read the same normalized stream: `resid_post == resid_pre + attn_out +
    mlp_out`, without `resid_mid`. Attention alone: `resid_post == resid_pre + attn_out`.
    """

    def __init__(
        self, config: TransformerConfig, layer: int = 0, rotary: Rotary | None = None
    ) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.hook_resid_pre = HookPoint()
        self.hook_attn_in = HookPoint(on_demand=True)
        self.hook_q_input = HookPoint(on_demand=True)
        self.hook_k_input = HookPoint(on_demand=True)
        self.hook_v_input = HookPoint(on_demand=True)
        self.ln1 = make_norm(config.d_model, config.norm)
        self.attn = Attention(config, layer, rotary)
        self.hook_attn_out = HookPoint()
        self.parallel = config.parallel
        self.mlp: MLP | None = None
        if config.has_resid_mid:
            self.hook_resid_mid = HookPoint()
            self.hook_mlp_in = HookPoint(on_demand=True)
            self.ln2 = make_norm(config.d_model, config.norm)
        if config.d_mlp is not None:
            self.mlp = MLP(
                config.d_model,
                config.d_mlp,
                config.act_name,
                bias=config.mlp_bias,
                gate=config.mlp_gate,
                in_norm=config.mlp_in_norm,
                norm=config.mlp_norm,
                layer_scale=config.layer_scale,
                out_norm=config.out_norm,
            )
            self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self,
        resid: Float[Tensor, "batch tokens d_model"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The stream behind the block.

        Args:
            resid: The stream in front of it.
            hidden: Tokens that nobody attends to; None for none.
        """
        resid = self.hook_resid_pre(resid)
        own = self._own_inputs(resid)
        normalized = normalize(self.ln1, resid)
        resid = resid + self.hook_attn_out(self.attend(normalized, own, hidden))
        if self.mlp is not None:
            if not self.parallel:
                resid = self.hook_resid_mid(resid)
                normalized = normalize(self.ln2, self.hook_mlp_in(resid))
            resid = resid + self.hook_mlp_out(self.mlp(normalized))
        return self.hook_resid_post(resid)

    def attend(
        self,
        normalized: Float[Tensor, "batch tokens d_model"],
        own: dict[str, Float[Tensor, "batch tokens heads d_model"]],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Attention's output; heads read inputs of their own only where a hook made them differ."""
        if own and self._ln1_is_in_use():
            raise HookError(
                f"`{self.hook_resid_pre.name.removesuffix('hook_resid_pre')}ln1.hook_*` describe "
                "the input that all heads share; got an edit or a gradient there and one at "
                f"inputs per head ({', '.join(own)}). Use one of the two in a run."
            )
        per_head = {letter: self.normalize_own(x) for letter, x in own.items()}
        return self.attn(normalized, per_head, hidden)

    def normalize_own(
        self, x: Float[Tensor, "batch tokens heads d_model"]
    ) -> Float[Tensor, "batch tokens heads d_model"]:
        """The norm of inputs that differ from head to head, past the hooks of the shared one."""
        return x if self.ln1 is None else self.ln1.fused(x)

    def spread(
        self, resid: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens heads d_model"]:
        """The stream once per head, without copying it."""
        return resid.unsqueeze(2).expand(-1, -1, self.n_heads, -1)

    def _own_inputs(self, resid: Tensor) -> dict[str, Tensor]:
        points = {"q": self.hook_q_input, "k": self.hook_k_input, "v": self.hook_v_input}
        if not (self.hook_attn_in.watched or any(p.watched for p in points.values())):
            return {}
        shared = self.spread(resid)
        attn_in = self.hook_attn_in(shared)
        visited = {letter: point(attn_in) for letter, point in points.items()}
        # A point that changed nothing, and connects no gradient, hands on the very same tensor.
        return {letter: x for letter, x in visited.items() if x is not shared}

    def _ln1_is_in_use(self) -> bool:
        points = () if self.ln1 is None else (self.ln1.hook_scale, self.ln1.hook_normalized)
        return any(point.watched and (point.edited or point.connected) for point in points)
