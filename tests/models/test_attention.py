"""Nobody pays for what nobody watches: attention is one kernel where its scores go unread."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE
from vitreous.models import AttentionConfig, NormConfig, RotaryConfig


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
    model, images = build(cfg), images_for(cfg)
    with torch.no_grad(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where it can't be fused
        model(images)
