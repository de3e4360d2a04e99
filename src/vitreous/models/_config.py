"""What a glass transformer is made of, and a vision transformer."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self, cast

from vitreous.models._clip_fields import require_clips_fit
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
from vitreous.models._part_configs import (
    Activation,
    AttentionConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    read_part,
)


@dataclass(frozen=True)
class TransformerConfig:
    """What image and text towers share: blocks, norms and a head.

    Attributes:
        n_layers: Blocks.
        d_model: Width of the residual stream.
        n_heads: Heads per block.
        d_head: Width of a head; None means `d_model / n_heads`, which it follows in `replace`.
        d_mlp: Neurons per MLP; None means attention-only.
        act_name: The neurons' nonlinearity.
        n_classes: Classes of the head, or the width of an embedding that it projects to; None
            means no head, and pooled features come out.
        head_bias: Whether the head has a bias.
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
    n_classes: int | None = field(default=None, kw_only=True)
    head_bias: bool = field(default=True, kw_only=True)
    position: PositionConfig | None = field(default_factory=PositionConfig, kw_only=True)
    ln_pre: NormConfig | None = field(default=None, kw_only=True)
    norm: NormConfig | None = field(default_factory=NormConfig, kw_only=True)
    out_norm: NormConfig | None = field(default=None, kw_only=True)
    parallel: bool = field(default=False, kw_only=True)
    attention: AttentionConfig = field(default_factory=AttentionConfig, kw_only=True)
    mlp_bias: bool = field(default=True, kw_only=True)
    mlp_gate: bool = field(default=False, kw_only=True)
    mlp_in_norm: NormConfig | None = field(default=None, kw_only=True)
    mlp_norm: NormConfig | None = field(default=None, kw_only=True)
    layer_scale: bool = field(default=False, kw_only=True)
    pooling: PoolingConfig = field(default_factory=PoolingConfig, kw_only=True)

    # Fields that count something, those of them that may be None, flags, and nested parts.
    _sizes: ClassVar[tuple[str, ...]] = (
        "n_layers", "d_model", "n_heads", "d_head", "d_mlp", "n_classes"
    )  # fmt: skip
    _may_be_none: ClassVar[tuple[str, ...]] = ("d_head", "d_mlp", "n_classes")
    _may_be_zero: ClassVar[tuple[str, ...]] = ()
    _truths: ClassVar[tuple[str, ...]] = (
        "head_bias", "parallel", "mlp_bias", "mlp_gate", "layer_scale"
    )  # fmt: skip
    _parts: ClassVar[dict[str, type]] = {
        "position": PositionConfig,
        "ln_pre": NormConfig,
        "norm": NormConfig,
        "out_norm": NormConfig,
        "attention": AttentionConfig,
        "mlp_in_norm": NormConfig,
        "mlp_norm": NormConfig,
        "pooling": PoolingConfig,
    }
    _pairs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self._check_parts()
        for name in self._pairs:
            object.__setattr__(self, name, pair(name, getattr(self, name)))
        for name in self._sizes:
            size = whole(name, getattr(self, name), may_be_none=name in self._may_be_none)
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
        """Tokens in front of patches, or of words."""
        return 0

    @property
    def has_second_head(self) -> bool:
        """Whether a distillation token has a head of its own."""
        return False

    @property
    def has_resid_mid(self) -> bool:
        """Whether the stream has a point between attention and MLP."""
        return not (self.attn_only or self.parallel)

    @property
    def inner_points(self) -> tuple[str, ...]:
        """The points of the stream between the parts of a block, as `hook_resid_*` names them."""
        inner = {"time": self.divides_space_time, "mid": self.has_resid_mid}
        return tuple(point for point, there in inner.items() if there)

    @property
    def divides_space_time(self) -> bool:
        """Whether a block attends twice: over time, then over space."""
        return self.attention.space_time == "divided"

    @property
    def d_pooled(self) -> int:
        """Width of what the head reads."""
        if self.pooling.map is not None:
            return self.pooling.map.d_out
        return self.d_model * (2 if self.pooling.kind == "cls_mean" else 1)

    @property
    def head_width(self) -> int:
        """`d_head`, whether it was given or follows from the other sizes."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    def replace(self, **changes: Any) -> Self:
        """The same configuration with some fields changed.

        A `d_head` that wasn't given follows `d_model` and `n_heads`.

        Raises:
            UnknownNameError: A field that there isn't; it gives the nearest names.
            ValueError: A value that can't be, or fields that don't fit together.
        """
        require_known(f"`{type(self).__name__}`", changes, type(self))
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
        values = read_fields(f"`{cls.__name__}`", cls, plain)
        for name, part in cls._parts.items():
            if isinstance(values.get(name), dict):
                values[name] = read_part(name, part, values[name])
        for name in set(cls._pairs) & set(values):
            values[name] = pair(name, values[name])  # JSON has no tuples
        cfg = cls(**values)
        follows = cfg.head_width * cfg.n_heads == cfg.d_model
        return cfg.replace(d_head=None) if follows else cfg

    def _check_parts(self) -> None:
        for name, part in self._parts.items():
            may_be_none = name not in ("attention", "pooling")
            require_part(name, getattr(self, name), part, may_be_none=may_be_none)
        require_truths(self, *self._truths)
        require_kind("act_name", self.act_name, Activation)

    def _check(self) -> None:
        for name in self._sizes:
            size = getattr(self, name)
            if name in self._may_be_zero:
                fits = size is None or size >= 0
                require(fits, f"`{name}` must not be negative", size, "Pass 0 for none")
            else:
                fits = size is None or size > 0
                require(fits, f"`{name}` must be positive", size, "Pass 1 or more")
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


@dataclass(frozen=True)
class HookedViTConfig(TransformerConfig):
    """Shape and parts of a `HookedViT`: those of `TransformerConfig`, and how images come in.

    With several frames it takes clips `[batch frames channels rows columns]`.

    Attributes:
        image_size: Pixel rows and columns; an int means a square.
        patch_size: Pixel rows and columns of a patch; an int means a square.
        n_channels: Color channels.
        n_frames: Frames of a clip; 1 means images.
        tubelet: Frames that a patch covers.
        cls_token: Whether there is a class token.
        distillation_token: Whether there is a distillation token, with a head of its own.
        n_registers: Register tokens.
        patch_bias: Whether the patch embedding has a bias.
        patch_norm: A norm of the embedded patches.
        stem: Whether patches are embedded by a module of another library, passed as `stem=`.
    """

    image_size: tuple[int, int] | int = field(default=224, kw_only=True)
    patch_size: tuple[int, int] | int = field(default=16, kw_only=True)
    n_channels: int = field(default=3, kw_only=True)
    n_frames: int = field(default=1, kw_only=True)
    tubelet: int = field(default=1, kw_only=True)
    cls_token: bool = field(default=True, kw_only=True)
    distillation_token: bool = field(default=False, kw_only=True)
    n_registers: int = field(default=0, kw_only=True)
    patch_bias: bool = field(default=True, kw_only=True)
    patch_norm: NormConfig | None = field(default=None, kw_only=True)
    stem: bool = field(default=False, kw_only=True)

    _sizes: ClassVar = (
        *TransformerConfig._sizes, "n_channels", "n_frames", "tubelet", "n_registers"
    )  # fmt: skip
    _may_be_zero: ClassVar = ("n_registers",)
    _truths: ClassVar = (
        *TransformerConfig._truths, "cls_token", "distillation_token", "patch_bias", "stem"
    )  # fmt: skip
    _parts: ClassVar = {"patch_norm": NormConfig} | TransformerConfig._parts
    _pairs: ClassVar = ("image_size", "patch_size")

    @property
    def has_second_head(self) -> bool:
        return self.distillation_token

    @property
    def n_prefix(self) -> int:
        return int(self.cls_token) + int(self.distillation_token) + self.n_registers

    @property
    def image_shape(self) -> tuple[int, int]:
        """`image_size`, always as pixel rows and columns."""
        return cast(tuple[int, int], self.image_size)

    @property
    def patch_shape(self) -> tuple[int, int]:
        """`patch_size`, always as pixel rows and columns."""
        return cast(tuple[int, int], self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Patch rows and columns at the configured image size."""
        (rows, columns), (height, width) = self.image_shape, self.patch_shape
        return rows // height, columns // width

    @property
    def takes_clips(self) -> bool:
        """Whether inputs have a dimension of frames."""
        return self.n_frames > 1

    @property
    def places(self) -> tuple[int, int, int]:
        """Frames (of patches), rows and columns at the configured size."""
        return (self.n_frames // self.tubelet, *self.grid)

    @property
    def n_patches(self) -> int:
        """Patches at the configured size."""
        return math.prod(self.places)

    def _check(self) -> None:
        (rows, columns), (height, width) = self.image_shape, self.patch_shape
        require(
            rows >= height > 0 and columns >= width > 0,
            "`image_size` must have room for a patch of `patch_size`",
            (self.image_size, self.patch_size),
            "Pass larger images or smaller patches",
        )
        require(
            self.pooling.kind in _IMAGE_POOLINGS,
            f"`pooling.kind` of images must be one of {', '.join(_IMAGE_POOLINGS)}",
            repr(self.pooling.kind),
            "Choose one",
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
        super()._check()
        require(
            (self.cls_token and self.n_prefix == 1) or not self.attention.relative_bias,
            "`attention.relative_bias` needs a class token alone in front of the patches",
            f"cls_token={self.cls_token} and {self.n_prefix} tokens there",
            "Pass `cls_token=True`, without distillation and register tokens",
        )
        waves = self.position is not None and self.position.kind == "sincos"
        require(
            not waves or self.d_model % 4 == 0,
            "`d_model` must divide by 4 for sin-cos positions",
            self.d_model,
            "Choose another width, or learned positions",
        )
        require_clips_fit(self)


_IMAGE_POOLINGS = ("cls", "mean", "cls_mean", "map", "none", "first")
