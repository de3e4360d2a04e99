"""Nobody pays for what nobody watches: attention is one kernel where its scores go unread."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE
from vitreous.models import (
    AttentionConfig,
    HookedTextConfig,
    HookedTextTransformer,
    NormConfig,
    PoolingConfig,
    RotaryConfig,
)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"causal": True},
        {"relative_bias": True},
        {"relative_bias": True, "causal": True},
        {"qk_norm": NormConfig(), "rotary": RotaryConfig()},
    ],
    ids=str,
)
def test_the_plain_pass_has_nothing_but_fused_attention(parts):
    cfg = THREE.replace(d_head=8, attention=AttentionConfig(**parts))
    assert_fused(build(cfg), images_for(cfg))


@pytest.mark.parametrize("causal", [False, True])
def test_so_has_that_of_texts_with_padding(causal):
    cfg = HookedTextConfig(
        2, 16, 2, d_mlp=9, vocab_size=11, n_ctx=5, pad_token=0, pooling=PoolingConfig("first"),
        attention=AttentionConfig(causal=causal),
    )  # fmt: skip
    assert_fused(HookedTextTransformer(cfg), torch.tensor([[3, 4, 0, 0, 0], [5, 6, 7, 8, 9]]))


def assert_fused(model, inputs):
    with torch.no_grad(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where it can't be fused
        model(inputs)
