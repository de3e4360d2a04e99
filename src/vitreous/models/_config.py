"""What a glass ViT is made of. A component is chosen here, never by a model's name."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, cast

from vitreous.models._config_fields import (
    pair,
    read_fields,
    require,
    require_kind,
    require_known,
    require_part,
    require_truths,
    whole,
)

NormKind = Literal["layer", "rms"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "solu"]
PositionKind = Literal["learned", "sincos"]
ResampleFilter = Literal["bicubic", "bilinear"]
PoolingKind = Literal["cls", "mean", "cls_mean", "map", "none"]


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
        resample: How learned positions are resampled for images of another size; None where that
            isn't known, and such images are refused.
    """

    kind: PositionKind = "learned"
    prefix: bool = True
    resample: ResampleConfig | None = None

    def __post_init__(self) -> None:
        require_kind("PositionConfig.kind", self.kind, PositionKind)
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
    """

    qkv_bias: bool = True
    out_bias: bool = True
    qk_norm: NormConfig | None = None
    rotary: RotaryConfig | None = None
    relative_bias: bool = False
    causal: bool = False
    z_norm: NormConfig | None = None

    def __post_init__(self) -> None:
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
            `"map"` pools by attention, `"none"` applies the head to every token.
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


@dataclass(frozen=True)
class HookedViTConfig:
    """Shape and parts of a `HookedViT`.

    Attributes:
        n_layers: Blocks.
        d_model: Width of the residual stream.
        n_heads: Heads per block.
        d_head: Width of a head; None means `d_model / n_heads`, which it follows in `replace`.
        d_mlp: Neurons per MLP; None means attention-only.
        act_name: The neurons' nonlinearity.
        image_size: Pixel rows and columns; an int means a square.
        patch_size: Pixel rows and columns of a patch; an int means a square.
        n_channels: Color channels.
        n_classes: Classes of the head; None means no head, and pooled features come out.
        cls_token: Whether there is a class token.
        distillation_token: Whether there is a distillation token, with a head of its own.
        n_registers: Register tokens.
        patch_bias: Whether the patch embedding has a bias.
        patch_norm: A norm of the embedded patches.
        stem: Whether patches are embedded by a module of another library, passed as `stem=`.
        head_bias: Whether the head has one.
        position: Position embedding; None for none.
        ln_pre: A norm between the embedding and the first block.
        norm: The norm in front of attention and MLP; None for none.
        out_norm: A norm behind attention and MLP, of what they add; None for none.
        parallel: Whether attention and MLP read the same normalized stream, side by side.
        attention: Attention's parts.
        mlp_bias: Whether the MLP's layers have biases.
        mlp_gate: Whether a second linear map multiplies the neurons' activations.
        mlp_in_norm: A norm of its own of what the MLP reads, behind the block's.
        mlp_norm: A norm of what the neurons say, in front of the output weight.
        layer_scale: Whether a gain per channel follows attention and MLP (where it isn't folded).
        pooling: What is read.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int | None = None
    d_mlp: int | None = None
    act_name: Activation = "gelu"
    image_size: tuple[int, int] | int = 224
    patch_size: tuple[int, int] | int = 16
    n_channels: int = 3
    n_classes: int | None = None
    cls_token: bool = True
    distillation_token: bool = False
    n_registers: int = 0
    patch_bias: bool = True
    patch_norm: NormConfig | None = None
    stem: bool = False
    head_bias: bool = True
    position: PositionConfig | None = field(default_factory=PositionConfig)
    ln_pre: NormConfig | None = None
    norm: NormConfig | None = field(default_factory=NormConfig)
    out_norm: NormConfig | None = None
    parallel: bool = False
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    mlp_bias: bool = True
    mlp_gate: bool = False
    mlp_in_norm: NormConfig | None = None
    mlp_norm: NormConfig | None = None
    layer_scale: bool = False
    pooling: PoolingConfig = field(default_factory=PoolingConfig)

    def __post_init__(self) -> None:
        self._check_parts()
        for name in ("image_size", "patch_size"):
            object.__setattr__(self, name, pair(name, getattr(self, name)))
        for name in _SIZES:
            size = whole(name, getattr(self, name), may_be_none=name in _MAY_BE_NONE)
            object.__setattr__(self, name, size)
        object.__setattr__(self, "_d_head_is_given", self.d_head is not None)
        if self.d_head is None:
            require(
                self.n_heads > 0 and self.d_model % self.n_heads == 0,
                "`d_model` must divide by `n_heads`",
                (self.d_model, self.n_heads),
                "Pass `d_head` or other sizes",
            )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        self._check()

    @property
    def attn_only(self) -> bool:
        """Whether blocks have no MLP."""
        return self.d_mlp is None

    @property
    def n_prefix(self) -> int:
        """Tokens in front of the patches."""
        return int(self.cls_token) + int(self.distillation_token) + self.n_registers

    @property
    def has_resid_mid(self) -> bool:
        """Whether the stream has a point between attention and MLP."""
        return not (self.attn_only or self.parallel)

    @property
    def d_pooled(self) -> int:
        """Width of what the head reads."""
        if self.pooling.map is not None:
            return self.pooling.map.d_out
        return self.d_model * (2 if self.pooling.kind == "cls_mean" else 1)

    @property
    def image_shape(self) -> tuple[int, int]:
        """`image_size`, always as pixel rows and columns."""
        return cast(tuple[int, int], self.image_size)

    @property
    def patch_shape(self) -> tuple[int, int]:
        """`patch_size`, always as pixel rows and columns."""
        return cast(tuple[int, int], self.patch_size)

    @property
    def head_width(self) -> int:
        """`d_head`, whether it was given or follows from the other sizes."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def grid(self) -> tuple[int, int]:
        """Patch rows and columns at the configured image size."""
        (rows, columns), (height, width) = self.image_shape, self.patch_shape
        return rows // height, columns // width

    def replace(self, **changes: Any) -> Self:
        """The same configuration with some fields changed.

        A `d_head` that wasn't given follows `d_model` and `n_heads`.

        Raises:
            UnknownNameError: A field that there isn't; it gives the nearest names.
            ValueError: A value that can't be, or fields that don't fit together.
        """
        require_known("`HookedViTConfig`", changes, type(self))
        anew = {} if vars(self)["_d_head_is_given"] else {"d_head": None}
        return replace(self, **anew | changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Reads what `to_dict` gave.

        It doesn't say whether `d_head` was given: one of `d_model / n_heads` counts as not.

        Raises:
            UnknownNameError: A field, of the configuration or of a part, that there isn't; it
                gives the nearest names.
            ValueError: A field is missing, or has a value that can't be.
        """
        values = read_fields("`HookedViTConfig`", cls, plain)
        for name, part in _PARTS.items():
            if isinstance(values.get(name), dict):
                values[name] = _read_part(name, part, values[name])
        for name in {"image_size", "patch_size"} & set(values):
            values[name] = pair(name, values[name])  # JSON has no tuples
        cfg = cls(**values)
        follows = cfg.head_width * cfg.n_heads == cfg.d_model
        return cfg.replace(d_head=None) if follows else cfg

    def _check_parts(self) -> None:
        for name, part in _PARTS.items():
            may_be_none = name not in ("attention", "pooling")
            require_part(name, getattr(self, name), part, may_be_none=may_be_none)
        require_truths(self, *_TRUTHS)
        require_kind("act_name", self.act_name, Activation)

    def _check(self) -> None:
        (rows, columns), (height, width) = self.image_shape, self.patch_shape
        require(
            rows >= height > 0 and columns >= width > 0,
            "`image_size` must have room for a patch of `patch_size`",
            (self.image_size, self.patch_size),
            "Pass larger images or smaller patches",
        )
        require(
            self.pooling.kind not in ("cls", "cls_mean") or self.cls_token,
            f"`pooling.kind='{self.pooling.kind}'` needs a class token",
            "cls_token=False",
            "Pass `cls_token=True`, or pool by 'mean'",
        )
        require(
            not self.distillation_token or self.cls_token,
            "A distillation token needs a class token",
            "cls_token=False",
            "Pass `cls_token=True`",
        )
        for name in _SIZES[:-1]:
            size = getattr(self, name)
            require(size is None or size > 0, f"`{name}` must be positive", size, "Pass 1 or more")
        require(
            self.n_registers >= 0,
            "`n_registers` must not be negative",
            self.n_registers,
            "Pass 0 for none",
        )
        require(
            (self.cls_token and self.n_prefix == 1) or not self.attention.relative_bias,
            "`attention.relative_bias` needs a class token alone in front of the patches",
            f"cls_token={self.cls_token} and {self.n_prefix} tokens there",
            "Pass `cls_token=True`, without distillation and register tokens",
        )
        require(
            not self.parallel or not self.attn_only,
            "A parallel block needs an MLP",
            "d_mlp=None",
            "Pass `d_mlp`",
        )
        require(
            self.attention.rotary is None or self.head_width % 2 == 0,
            "`attention.rotary` needs an even `d_head`",
            self.head_width,
            "Pass another `d_head`",
        )
        waves = self.position is not None and self.position.kind == "sincos"
        require(
            not waves or self.d_model % 4 == 0,
            "`d_model` must divide by 4 for sin-cos positions",
            self.d_model,
            "Choose another width, or learned positions",
        )


def _read_part(name: str, kind: Any, plain: dict[str, Any]) -> Any:
    values = read_fields(f"`{name}`", kind, plain)
    for inner, part in _INNER_PARTS.items():
        if isinstance(values.get(inner), dict):
            values[inner] = _read_part(f"{name}.{inner}", part, values[inner])
    return kind(**values)


_SIZES = (
    "n_layers", "d_model", "n_heads", "d_head", "d_mlp", "n_channels", "n_classes", "n_registers"
)  # fmt: skip
_MAY_BE_NONE = ("d_head", "d_mlp", "n_classes")
_TRUTHS = (
    "cls_token", "distillation_token", "patch_bias", "stem", "head_bias", "parallel", "mlp_bias",
    "mlp_gate", "layer_scale",
)  # fmt: skip
_PARTS: dict[str, type] = {
    "patch_norm": NormConfig,
    "position": PositionConfig,
    "ln_pre": NormConfig,
    "norm": NormConfig,
    "out_norm": NormConfig,
    "attention": AttentionConfig,
    "mlp_in_norm": NormConfig,
    "mlp_norm": NormConfig,
    "pooling": PoolingConfig,
}
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
