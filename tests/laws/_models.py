"""Tiny models from all over the configuration space, with every weight random."""

from collections.abc import Callable
from typing import Any, get_args

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vitreous.models import (
    AttentionConfig,
    HookedViT,
    HookedViTConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
)
from vitreous.models._config import Activation

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
def configs(draw: st.DrawFn, **fixed: Any) -> HookedViTConfig:
    """Any small `HookedViTConfig`; `fixed` gives the value of a field, or a strategy for it."""
    cls_token = draw(_given(fixed, "cls_token", st.booleans()))
    kinds = ["mean", "none", *(["cls"] * 2 if cls_token else [])]
    pooling = st.builds(
        PoolingConfig,
        kind=st.sampled_from(kinds),
        norm=st.none() | norms(),
        norm_first=st.booleans(),
    )
    attention = st.builds(
        AttentionConfig,
        qkv_bias=st.booleans(),
        out_bias=st.booleans(),
        qk_norm=st.none() | norms(),
    )
    position = st.builds(
        PositionConfig, kind=st.sampled_from(["learned", "sincos"]), prefix=st.booleans()
    )
    free = {
        "n_layers": st.integers(1, 3),
        "d_model": st.just(8),
        "n_heads": st.integers(1, 2),
        "d_head": st.sampled_from([None, 3]),
        "d_mlp": st.sampled_from([None, 5, 9]),
        "act_name": st.sampled_from(get_args(Activation)),
        "image_size": st.sampled_from([(4, 9), (6, 3), (2, 3)]),
        "patch_size": st.just((2, 3)),
        "n_channels": st.sampled_from([1, 3]),
        "n_classes": st.sampled_from([None, 4]),
        "distillation_token": st.booleans() if cls_token else st.just(False),
        "n_registers": st.integers(0, 2),
        "patch_bias": st.booleans(),
        "head_bias": st.booleans(),
        "position": st.none() | position,
        "ln_pre": st.none() | norms(),
        "norm": st.none() | norms(),
        "attention": attention,
        "mlp_bias": st.booleans(),
        "layer_scale": st.booleans(),
        "pooling": pooling,
    }
    return HookedViTConfig(
        cls_token=cls_token, **{name: draw(_given(fixed, name, free[name])) for name in free}
    )


def pooled_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    """Configurations whose head reads one vector per image, so that targets have readouts."""
    return configs(**fixed).filter(lambda cfg: cfg.pooling.kind != "none")


def mlp_configs(**fixed: Any) -> st.SearchStrategy[HookedViTConfig]:
    return configs(**{"d_mlp": st.sampled_from([5, 9]), **fixed})


def build(cfg: HookedViTConfig, seed: int = 0) -> HookedViT:
    """A float64 model in which nothing is zero or one by accident: biases, gains, tokens, all."""
    generator = torch.Generator().manual_seed(seed)
    model = HookedViT(cfg).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            is_gain = name.endswith((".w", ".gain"))
            parameter.copy_(1 + 0.3 * noise if is_gain else 0.4 * noise)
    return model


def images_for(cfg: HookedViTConfig, count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, cfg.n_channels, *cfg.image_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_like(value: Tensor, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(value.shape, generator=generator, dtype=value.dtype)


def gap(a: Tensor, b: Tensor) -> float:
    """max|a - b| / max|b|; infinite where shapes differ or something isn't finite."""
    if a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    if b.numel() == 0:
        return 0.0
    return (a - b).abs().max().item() / max(b.abs().max().item(), 1e-300)


def assert_equal(a: Tensor, b: Tensor, what: str = "") -> None:
    assert gap(a, b) <= EXACT_ENOUGH or (a - b).abs().max() < 1e-14, (what, gap(a, b))


def _given(fixed: dict[str, Any], name: str, default: Any) -> Any:
    value = fixed.get(name, default)
    return value if isinstance(value, st.SearchStrategy) else st.just(value)
