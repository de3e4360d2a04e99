"""The parts that a transformer is made of. A part is chosen here, never by a model's name."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from vitreous.models._config_fields import (
    read_fields,
    require,
    require_kind,
    require_part,
    require_truths,
    whole,
)

NormKind = Literal["layer", "rms"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "solu"]
PositionKind = Literal["learned", "sincos"]
FramePositions = Literal["own", "added"]
SpaceTime = Literal["joint", "divided"]
ResampleFilter = Literal["bicubic", "bilinear"]
# Those that read one token of a text.
PLACES = ("first", "last", "eot")
PoolingKind = Literal["cls", "mean", "cls_mean", "map", "none", "first", "last", "eot"]


@dataclass(frozen=True)
class NormConfig:
    """A normalization over the residual stream or a head.

    Attributes:
        kind: `"layer"` centers and divides by the standard deviation, `"rms"` divides by the root
            mean square.
        eps: Added to the variance, or to the mean square.
        affine: Whether a gain (and for `"layer"` a bias) follows. Folding takes it away.
    """

    kind: NormKind = "layer"
    eps: float = 1e-6
    affine: bool = True

    def __post_init__(self) -> None:
        require_kind("NormConfig.kind", self.kind, NormKind)
        require_truths(self, "affine")
        require(
            isinstance(self.eps, float | int) and math.isfinite(self.eps) and self.eps >= 0,
            "`NormConfig.eps` must be a number from 0 on",
            repr(self.eps),
            "1e-6 is usual",
        )


@dataclass(frozen=True)
class ResampleConfig:
    """How learned positions are resampled for patches of another grid than theirs.

    Attributes:
        filter: `"bicubic"` or `"bilinear"`.
        antialias: Whether the filter widens where positions become fewer.
        in_float32: Whether it is done in float32 whatever the weights are, as many sources do.
        always: Whether every pass on images of another size does it. Else such images are refused,
            and `resample_positions` makes a model that takes them.
    """

    filter: ResampleFilter = "bicubic"
    antialias: bool = True
    in_float32: bool = False
    always: bool = True

    def __post_init__(self) -> None:
        require_kind("ResampleConfig.filter", self.filter, ResampleFilter)
        require_truths(self, "antialias", "in_float32", "always")


@dataclass(frozen=True)
class PositionConfig:
    """An embedding of the position that is added to the tokens.

    Attributes:
        kind: `"learned"`, or fixed `"sincos"`.
        prefix: Whether class, distillation and register tokens have positions too.
        frames: Of clips: whether each place has a position of its `"own"` in every frame, or the
            same in all, to which a learned one of the frame is `"added"`.
        resample: How learned positions are resampled for images of another size; None where that
            isn't known, and such images are refused.
    """

    kind: PositionKind = "learned"
    prefix: bool = True
    frames: FramePositions = "own"
    resample: ResampleConfig | None = None

    def __post_init__(self) -> None:
        require_kind("PositionConfig.kind", self.kind, PositionKind)
        require_kind("PositionConfig.frames", self.frames, FramePositions)
        require_truths(self, "prefix")
        require_part("PositionConfig.resample", self.resample, ResampleConfig)
        require(
            self.resample is None or self.kind == "learned",
            "`PositionConfig.resample` stands where positions are learned",
            f"kind={self.kind!r}",
            "Leave it out: others are computed for any grid",
        )


@dataclass(frozen=True)
class RotaryConfig:
    """Queries and keys turned by angles that depend on the token's place.

    The angles are tables of the model, since every family computes them in another way. A new
    model gets those of EVA-02: frequencies of the row and of the column, and no turn in front of
    the patches.

    Attributes:
        interleaved: Whether neighbours (0, 1), (2, 3) ... turn together, or entries half a head
            apart.
        per_layer: Whether every block has angles of its own.
        per_head: Whether every head has.
    """

    interleaved: bool = True
    per_layer: bool = False
    per_head: bool = False

    def __post_init__(self) -> None:
        require_truths(self, "interleaved", "per_layer", "per_head")


@dataclass(frozen=True)
class AttentionConfig:
    """Attention of one block.

    Attributes:
        qkv_bias: Whether queries, keys and values have a bias.
        out_bias: Whether the output has one.
        qk_norm: A norm of each head's queries and keys.
        rotary: A turn of queries and keys behind it.
        relative_bias: Whether each head adds a learned number to its scores for every offset
            between two patches, and three for pairs with the class token.
        causal: Whether a token attends to itself and to those in front of it alone.
        z_norm: A norm of what all heads have read, in front of the output weight.
        space_time: Whether all tokens of a clip attend to one another (`"joint"`), or a block has
            two attentions (`"divided"`): each patch first attends to its place in all frames,
            then to the patches of its own frame.
    """

    qkv_bias: bool = True
    out_bias: bool = True
    qk_norm: NormConfig | None = None
    rotary: RotaryConfig | None = None
    relative_bias: bool = False
    causal: bool = False
    z_norm: NormConfig | None = None
    space_time: SpaceTime = "joint"

    def __post_init__(self) -> None:
        require_kind("AttentionConfig.space_time", self.space_time, SpaceTime)
        require_truths(self, "qkv_bias", "out_bias", "relative_bias", "causal")
        require_part("AttentionConfig.qk_norm", self.qk_norm, NormConfig)
        require_part("AttentionConfig.rotary", self.rotary, RotaryConfig)
        require_part("AttentionConfig.z_norm", self.z_norm, NormConfig)


@dataclass(frozen=True)
class MapConfig:
    """Multi-head attention pooling: a learned query reads the tokens.

    Attributes:
        n_heads: Heads.
        d_head: Width of a head.
        d_out: Width of what comes out.
        d_mlp: Neurons of the MLP whose output is added; None for none.
        act_name: Its nonlinearity.
        kv_bias: Whether keys and values have a bias.
        out_bias: Whether the output has one.
        k_norm: A norm of each head's keys.
        norm: The norm in front of the MLP.
        out_norm: A norm of what is written, where there is no MLP.
    """

    n_heads: int
    d_head: int
    d_out: int
    d_mlp: int | None = None
    act_name: Activation = "gelu"
    kv_bias: bool = True
    out_bias: bool = True
    k_norm: NormConfig | None = None
    norm: NormConfig | None = None
    out_norm: NormConfig | None = None

    def __post_init__(self) -> None:
        for name in ("n_heads", "d_head", "d_out", "d_mlp"):
            size = whole(f"MapConfig.{name}", getattr(self, name), may_be_none=name == "d_mlp")
            require(
                size is None or size > 0, f"`MapConfig.{name}` must be positive", size, "Pass 1"
            )
        require_kind("MapConfig.act_name", self.act_name, Activation)
        require_truths(self, "kv_bias", "out_bias")
        for name in ("k_norm", "norm", "out_norm"):
            require_part(f"MapConfig.{name}", getattr(self, name), NormConfig)
        require(
            self.out_norm is None or self.d_mlp is None,
            "`MapConfig.out_norm` stands where there is no MLP",
            f"d_mlp={self.d_mlp}",
            "Pass one of the two",
        )
        require(
            self.norm is None or self.d_mlp is not None,
            "`MapConfig.norm` stands in front of an MLP",
            "d_mlp=None",
            "Pass `d_mlp`, or `out_norm`",
        )


@dataclass(frozen=True)
class PoolingConfig:
    """From the last residual stream to one vector.

    Attributes:
        kind: `"cls"` reads the class token (with a distillation token: both, each by its own
            head, averaged), `"mean"` averages patches, `"cls_mean"` puts both side by side,
            `"map"` pools by attention, `"none"` applies the head to every token, `"first"` reads
            the first token, whatever it is. Texts are also read at their `"last"` token, or at
            the one that ends them (`"eot"`).
        norm: The last norm.
        norm_first: Whether it acts on tokens, or on what was pooled (timm's `fc_norm`).
        counts_prefix: Whether a mean, or pooling by attention, reads class and register tokens too.
        map: The parts of `"map"`.
    """

    kind: PoolingKind = "cls"
    norm: NormConfig | None = field(default_factory=NormConfig)
    norm_first: bool = True
    counts_prefix: bool = False
    map: MapConfig | None = None

    def __post_init__(self) -> None:
        require_kind("PoolingConfig.kind", self.kind, PoolingKind)
        require_truths(self, "norm_first", "counts_prefix")
        require_part("PoolingConfig.norm", self.norm, NormConfig)
        require_part("PoolingConfig.map", self.map, MapConfig)
        require(
            (self.map is not None) == (self.kind == "map"),
            "`PoolingConfig.map` must be given for the kind 'map', and only there",
            (self.kind, self.map),
            "Pass both or neither",
        )

    @property
    def normalizes_tokens(self) -> bool:
        """Whether the norm acts on tokens: it comes first, or nothing is pooled."""
        return self.norm_first or self.kind == "none"


def read_part(name: str, kind: Any, plain: dict[str, Any]) -> Any:
    """A part from what JSON holds of it."""
    values = read_fields(f"`{name}`", kind, plain)
    for inner, part in _INNER_PARTS.items():
        if isinstance(values.get(inner), dict):
            values[inner] = read_part(f"{name}.{inner}", part, values[inner])
    return kind(**values)


# Of the parts of positions, an attention or a pooling.
_INNER_PARTS: dict[str, type] = {
    "resample": ResampleConfig,
    "qk_norm": NormConfig,
    "rotary": RotaryConfig,
    "z_norm": NormConfig,
    "norm": NormConfig,
    "map": MapConfig,
    "k_norm": NormConfig,
    "out_norm": NormConfig,
}
