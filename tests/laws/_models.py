"""Tiny models from all over the configuration space, with every weight random."""

from collections.abc import Callable
from typing import Any, get_args

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vitreous.models import (
    AttentionConfig,
    HookedViT,
    HookedViTConfig,
    MapConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    RotaryConfig,
)
from vitreous.models._part_configs import Activation
from vitreous.models._rotary import Rotary

EXACT_ENOUGH = 1e-10


def law(*strategies: Any, examples: int = 25, **named: Any) -> Callable[[Any], Any]:
    """A property over configurations: the same examples in every run, which fail reproducibly."""

    def decorate(test: Any) -> Any:
        tried = settings(max_examples=examples, derandomize=True, database=None, deadline=None)
        return tried(given(*strategies, **named)(test))

    return decorate


def norms(*, affine: bool | None = None) -> st.SearchStrategy[NormConfig]:
    return st.builds(
        NormConfig,
        kind=st.sampled_from(["layer", "rms"]),
        eps=st.sampled_from([1e-6, 1e-5, 0.1]),
        affine=st.booleans() if affine is None else st.just(affine),
    )


@st.composite
def poolings(draw: st.DrawFn, *, cls_token: bool) -> PoolingConfig:
    """Every way to read the tokens."""
    kinds = ["mean", "map", "none", "first", *(["cls", "cls", "cls_mean"] if cls_token else [])]
    kind = draw(st.sampled_from(kinds))
    return PoolingConfig(
        kind,
        norm=draw(st.none() | norms()),
        norm_first=draw(st.booleans()),
        counts_prefix=draw(st.booleans()),
        map=draw(maps()) if kind == "map" else None,
    )


@st.composite
def maps(draw: st.DrawFn) -> MapConfig:
    d_mlp = draw(st.sampled_from([None, 5]))
    behind = "out_norm" if d_mlp is None else "norm"
    return MapConfig(
        n_heads=draw(st.integers(1, 2)),
        d_head=3,
        d_out=draw(st.sampled_from([6, 8])),
        d_mlp=d_mlp,
        act_name=draw(st.sampled_from(get_args(Activation))),
        kv_bias=draw(st.booleans()),
        out_bias=draw(st.booleans()),
        k_norm=draw(st.none() | norms()),
        **{behind: draw(st.none() | norms())},
    )


def divided_attentions() -> st.SearchStrategy[AttentionConfig]:
    return st.builds(
        AttentionConfig,
        qkv_bias=st.booleans(),
        out_bias=st.booleans(),
        qk_norm=st.none() | norms(),
        space_time=st.just("divided"),
    )


def attentions(
    *, turns: bool, offsets: bool, z_norm: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[AttentionConfig]:
    """Any joint attention; rotary positions and relative ones where they are possible."""
    rotary = st.builds(
        RotaryConfig, interleaved=st.booleans(), per_layer=st.booleans(), per_head=st.booleans()
    )
    return st.builds(
        AttentionConfig,
        qkv_bias=st.booleans(),
        out_bias=st.booleans(),
        qk_norm=st.none() | norms(),
        rotary=st.none() | rotary if turns else st.none(),
        relative_bias=st.booleans() if offsets else st.just(False),
        causal=st.sampled_from([False, False, True]),
        z_norm=st.none() | norms() if z_norm is None else z_norm,
    )


@st.composite
def configs(draw: st.DrawFn, **fixed: Any) -> HookedViTConfig:
    """Any small `HookedViTConfig`; `fixed` gives the value of a field, or a strategy for it."""
    values: dict[str, Any] = {}

    def choose(**free: st.SearchStrategy[Any]) -> None:
        for name, default in free.items():
            values[name] = draw(_given(fixed, name, default))

    few = st.integers(0, 2) if draw(st.booleans()) else st.just(0)
    choose(cls_token=st.booleans(), n_registers=few, n_heads=st.integers(1, 2))
    cls_token = values["cls_token"]
    choose(
        distillation_token=st.booleans() if cls_token else st.just(False),
        d_head=st.sampled_from([None, 3, 6]),
        d_mlp=st.sampled_from([None, 5, 9]),
    )
    alone = cls_token and not (values["n_registers"] or values["distillation_token"])
    # An attention that is given may turn by row and column, which tells no frames apart.
    some_frames = [1] if "attention" in fixed else [1, 1, 1, 1, 2, 4]
    divides = _may_divide(fixed) and draw(st.sampled_from([False, False, True]))
    choose(
        stem=st.sampled_from([False, False, True]),
        n_frames=st.sampled_from([2, 3] if divides else some_frames),
    )
    tubelets = {2: [1, 2], 4: [2]}.get(values["n_frames"], [1])
    choose(tubelet=st.just(1) if values["stem"] else st.sampled_from(tubelets))
    clip = values["n_frames"] > values["tubelet"]
    joint = attentions(turns=values["d_head"] != 3 and not clip, offsets=alone and not clip)
    parallel = st.sampled_from([False, False, not divides])
    choose(
        n_layers=st.integers(1, 3),
        d_model=st.just(8),
        act_name=st.sampled_from(get_args(Activation)),
        image_size=st.sampled_from([(4, 9), (6, 3), (2, 3), (5, 7)]),
        patch_size=st.just((2, 3)),
        n_channels=st.sampled_from([1, 3]),
        n_classes=st.sampled_from([None, 4]),
        patch_bias=st.booleans(),
        patch_norm=st.none() | norms(),
        head_bias=st.booleans(),
        position=st.none() | positions(clip=clip),
        ln_pre=st.none() | norms(),
        norm=st.none() | norms(),
        out_norm=st.none() if divides else st.none() | norms(),
        parallel=parallel if values["d_mlp"] else st.just(False),
        attention=divided_attentions() if divides else joint,
        mlp_bias=st.booleans(),
        mlp_gate=st.booleans(),
        mlp_in_norm=st.none() | norms(),
        mlp_norm=st.none() | norms(),
        layer_scale=st.booleans(),
        pooling=poolings(cls_token=cls_token),
    )
    return HookedViTConfig(**values)


def positions(*, clip: bool) -> st.SearchStrategy[PositionConfig]:
    """Fixed positions are the same in each frame of a clip."""
    kinds = [("learned", "own"), ("learned", "added"), ("sincos", "added")]
    kinds += [] if clip else [("sincos", "own")]
    return st.builds(
        lambda kind, prefix: PositionConfig(kind[0], prefix, frames=kind[1]),
        st.sampled_from(kinds),
        st.booleans(),
    )


def divided_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    """Configurations with an attention over time and one over space."""
    return configs(**fixed).filter(lambda cfg: cfg.divides_space_time)


def _may_divide(fixed: dict[str, Any]) -> bool:
    """Whether no part that is given rules out two attentions."""
    parts = ("attention", "out_norm", "parallel", "n_frames")
    return all(fixed.get(name) in (None, False) for name in parts)


def pooled_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    """Configurations whose head reads one vector per image, so that targets have readouts."""
    return configs(**fixed).filter(lambda cfg: cfg.pooling.kind != "none")


def mlp_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    return configs(**{"d_mlp": st.sampled_from([5, 9]), **fixed})


class Stem(nn.Module):
    """A module of another library: not linear, and deaf to the pixels that fill no patch."""

    def __init__(self, cfg: HookedViTConfig, *, flat: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cfg.n_channels, cfg.d_model, cfg.patch_shape, cfg.patch_shape)
        self.flat = flat

    def forward(self, images: Tensor) -> Tensor:
        embedded = torch.tanh(self.conv(images))
        return embedded.flatten(2).transpose(1, 2) if self.flat else embedded


def sequential_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    """Configurations whose MLPs read what attention has written."""
    return mlp_configs(parallel=False, **fixed)


def build(cfg: HookedViTConfig, seed: int = 0) -> HookedViT:
    """A float64 model in which nothing is zero or one by accident: biases, gains, tokens, all."""
    generator = torch.Generator().manual_seed(seed)
    stem = Stem(cfg, flat=cfg.n_layers > 1) if cfg.stem else None
    model = HookedViT(cfg, stem=stem).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            is_gain = name.endswith((".w", ".gain"))
            parameter.copy_(1 + 0.3 * noise if is_gain else 0.4 * noise)
        if model.rotary is not None:
            _turn_at_random(model.rotary, generator)
    return model


def _turn_at_random(rotary: Rotary, generator: torch.Generator) -> None:
    *which, d_head = rotary.cos.shape
    pairs = 3 * torch.randn(*which, d_head // 2, generator=generator, dtype=torch.float64)
    halves = torch.cat([pairs, pairs], -1)
    angles = pairs.repeat_interleave(2, -1) if rotary.interleaved else halves
    rotary.cos.copy_(angles.cos())
    rotary.sin.copy_(angles.sin())


def images_for(cfg: HookedViTConfig, count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    frames = (cfg.n_frames,) if cfg.n_frames > 1 else ()
    shape = (count, *frames, cfg.n_channels, *cfg.image_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_like(value: Tensor, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(value.shape, generator=generator, dtype=value.dtype)


def gap(a: Tensor, b: Tensor) -> float:
    """max|a - b| / max|b|; infinite where shapes differ or something isn't finite in one alone."""
    if a.shape != b.shape:
        return float("inf")
    same = (a == b) & (a == -torch.inf)  # hidden from a causal head in both
    a, b = a[~same], b[~same]
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    if b.numel() == 0:
        return 0.0
    return (a - b).abs().max().item() / max(b.abs().max().item(), 1e-300)


def assert_equal(a: Tensor, b: Tensor, what: str = "") -> None:
    assert gap(a, b) <= EXACT_ENOUGH or _both_vanish(a, b), (what, gap(a, b))


def _both_vanish(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < 1e-14)


def _given(fixed: dict[str, Any], name: str, default: Any) -> Any:
    value = fixed.get(name, default)
    return value if isinstance(value, st.SearchStrategy) else st.just(value)
