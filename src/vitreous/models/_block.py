"""One transformer block."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks import HookPoint
from vitreous.models._attention import Attention
from vitreous.models._config import HookedViTConfig, TransformerConfig
from vitreous.models._mlp import MLP
from vitreous.models._norms import Norm, make_norm, normalize, normalize_own
from vitreous.models._rotary import Rotary
from vitreous.models._space_time import OverSpace, OverTime, Reach
from vitreous.models._sublayers import OVER_TIME, AttentionNames, attentions_of


class Block(nn.Module):
    """Attention and MLP, each added to the residual stream.

    One after the other: `resid_mid == resid_pre + attn_out`, `resid_post == resid_mid + mlp_out`.
    Side by side, both read the same normalized stream: `resid_post == resid_pre + attn_out +
    mlp_out`, without `resid_mid`. Attention alone: `resid_post == resid_pre + attn_out`.

    Where attention is divided, one over time comes first: `resid_time == resid_pre +
    attn_time_out`, and `resid_time` takes the place of `resid_pre` above.
    """

    ln1: Norm | None
    attn: Attention

    def __init__(
        self, config: TransformerConfig, layer: int = 0, rotary: Rotary | None = None
    ) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.attentions = attentions_of(config)
        self.hook_resid_pre = HookPoint()
        for names in self.attentions:
            if names.reads != "hook_resid_pre":
                self.add_module(names.reads, HookPoint())
            self.add_module(names.enters, HookPoint(on_demand=True))
            for letter in "qkv":
                self.add_module(names.input(letter), HookPoint(on_demand=True))
            self.add_module(names.norm, make_norm(config.d_model, config.norm))
            attn = Attention(config, layer, rotary, _reach(config, names))
            self.add_module(names.attn, attn)
            self.add_module(names.adds, HookPoint())
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

        The stages that follow are methods of their own, so that a run can go on from each:
        `from_attention`, `behind_attention` and `from_mid`. What such a method takes
        has been by its hook points.

        Args:
            resid: The stream in front of it.
            hidden: Tokens that nobody attends to; None for none.
        """
        return self.from_attention(0, self.hook_resid_pre(resid), hidden)

    def from_attention(
        self,
        place: int,
        resid: Float[Tensor, "batch tokens d_model"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
        first: int | None = None,
    ) -> Float[Tensor, "batch positions d_model"]:
        """The rest, from the stream that an attention reads.

        Args:
            place: Which of `attentions`.
            resid: The stream.
            hidden: Tokens that nobody attends to; None for none.
            first: How many tokens behind the block somebody reads, the first ones; None for all.
                Only for a block in which nobody watches.
        """
        names = self.attentions[place]
        own = self._own_inputs(names, resid)
        normalized = normalize(self.norm_of(names), resid)
        if first is None or place + 1 < len(self.attentions):
            written = self.attend(names, normalized, own, hidden)
        else:
            written = self.attention(names).of_first(normalized, first, hidden)
            resid, normalized = resid[:, :first], normalized[:, :first]
        written = self.part(names.adds)(written)
        if not self.parallel:
            return self.behind_attention(place, resid + written, hidden, first)
        assert self.mlp is not None
        return self.hook_resid_post(resid + written + self.hook_mlp_out(self.mlp(normalized)))

    def behind_attention(
        self,
        place: int,
        resid: Float[Tensor, "batch tokens d_model"],
        hidden: Bool[Tensor, "batch keys"] | None = None,
        first: int | None = None,
    ) -> Float[Tensor, "batch positions d_model"]:
        """The rest, from the stream with what an attention added; arguments as above."""
        if place + 1 < len(self.attentions):
            reads = self.part(self.attentions[place + 1].reads)
            return self.from_attention(place + 1, reads(resid), hidden, first)
        if self.mlp is None:
            return self.hook_resid_post(resid)
        return self.from_mid(self.hook_resid_mid(resid))

    def from_mid(
        self, resid: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The rest, from the stream that an MLP behind attention reads."""
        assert self.mlp is not None
        normalized = normalize(self.ln2, self.hook_mlp_in(resid))
        return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(normalized)))

    def part(self, name: str) -> Any:
        """A module of the block, by its name."""
        return getattr(self, name)

    def norm_of(self, names: AttentionNames) -> Norm | None:
        """The norm in front of one of the attentions."""
        return self.part(names.norm)

    def attention(self, names: AttentionNames) -> Attention:
        """One of the attentions."""
        return self.part(names.attn)

    def attend(
        self,
        names: AttentionNames,
        normalized: Float[Tensor, "batch tokens d_model"],
        own: dict[str, Float[Tensor, "batch tokens heads d_model"]],
        hidden: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Attention's output; heads read inputs of their own only where a hook made them differ."""
        norm = self.norm_of(names)
        if own and _is_in_use(norm):
            block = self.hook_resid_pre.name.removesuffix("hook_resid_pre")
            raise HookError(
                f"`{block}{names.norm}.hook_*` describe "
                "the input that all heads share; got an edit or a gradient there and one at "
                f"inputs per head ({', '.join(own)}). Use one of the two in a run."
            )
        per_head = {letter: normalize_own(norm, x) for letter, x in own.items()}
        return self.attention(names)(normalized, per_head, hidden)

    def spread(
        self, resid: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens heads d_model"]:
        """The stream once per head, without copying it."""
        return resid.unsqueeze(2).expand(-1, -1, self.n_heads, -1)

    def _own_inputs(self, names: AttentionNames, resid: Tensor) -> dict[str, Tensor]:
        points: dict[str, HookPoint] = {each: self.part(names.input(each)) for each in "qkv"}
        enters: HookPoint = self.part(names.enters)
        if not (enters.watched or any(p.watched for p in points.values())):
            return {}
        shared = self.spread(resid)
        attn_in = enters(shared)
        visited = {letter: point(attn_in) for letter, point in points.items()}
        # A point that changed nothing, and connects no gradient, hands on the very same tensor.
        return {letter: x for letter, x in visited.items() if x is not shared}


def _is_in_use(norm: Norm | None) -> bool:
    points = () if norm is None else (norm.hook_scale, norm.hook_normalized)
    return any(point.watched and (point.edited or point.connected) for point in points)


def _reach(config: TransformerConfig, names: AttentionNames) -> Reach | None:
    """Who attends to whom, where that is divided."""
    if not config.divides_space_time:
        return None
    assert isinstance(config, HookedViTConfig)
    kind = OverTime if names is OVER_TIME else OverSpace
    return kind(config.n_prefix, config.places[0])
