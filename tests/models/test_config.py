"""A configuration that can be, and what follows from it."""

import copy
import dataclasses
import json

import pytest

from vitreous.models import (
    AttentionConfig,
    HookedViT,
    HookedViTConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
)

CFG = HookedViTConfig(2, 8, 2, image_size=(4, 9), patch_size=(2, 3), n_classes=3)


def test_one_number_is_a_square():
    cfg = HookedViTConfig(1, 8, 2, image_size=32, patch_size=8)
    assert cfg.image_size == cfg.image_shape == (32, 32)
    assert cfg.patch_size == cfg.patch_shape == (8, 8)
    assert cfg.grid == (4, 4)


def test_rows_stand_before_columns():
    assert CFG.grid == (2, 3)
    assert HookedViT(CFG).layout.grid == (1, 2, 3)


def test_the_width_of_a_head_follows_from_the_others_unless_it_is_given():
    assert CFG.d_head == CFG.head_width == 4
    narrow = CFG.replace(d_head=3)
    assert narrow.head_width == 3
    assert HookedViT(narrow).W_Q.shape == (2, 2, 8, 3)


def test_a_width_of_heads_that_was_not_given_follows_and_one_that_was_stays():
    assert CFG.replace(d_model=16).d_head == 8
    assert CFG.replace(n_heads=4).d_head == 2
    assert CFG.replace(d_head=3).replace(d_model=16).d_head == 3
    assert HookedViTConfig(2, 8, 2, d_head=4).replace(d_model=16).d_head == 4
    assert CFG.replace(d_head=3).replace(d_head=None).replace(d_model=16).d_head == 8


def test_a_width_of_heads_follows_in_what_was_saved_and_copied_too():
    saved = HookedViTConfig.from_dict(json.loads(json.dumps(CFG.to_dict())))
    for cfg in (saved, copy.deepcopy(CFG), CFG.replace(n_layers=1)):
        assert cfg.replace(d_model=16).d_head == 8
    given = HookedViTConfig.from_dict(CFG.replace(d_head=3).to_dict())
    assert given.replace(d_model=16).d_head == 3


def test_heads_of_a_width_of_their_own_need_not_divide_the_stream():
    assert HookedViT(CFG.replace(d_model=9, d_head=4)).W_O.shape == (2, 2, 4, 9)


def test_no_mlp_means_attention_only():
    assert CFG.attn_only and not CFG.replace(d_mlp=16).attn_only


@pytest.mark.parametrize(
    ("kind", "norm_first", "normalizes_tokens"),
    [("cls", True, True), ("mean", True, True), ("mean", False, False), ("none", False, True)],
)
def test_the_last_norm_acts_on_tokens_unless_it_comes_after_pooling(
    kind, norm_first, normalizes_tokens
):
    assert PoolingConfig(kind, norm_first=norm_first).normalizes_tokens == normalizes_tokens


def test_a_configuration_is_a_value():
    assert HookedViTConfig(2, 8, 2, image_size=(4, 9), patch_size=(2, 3), n_classes=3) == CFG
    assert len({CFG, CFG.replace(), CFG.replace(n_classes=4)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        CFG.n_layers = 3


def test_replacing_a_field_leaves_the_original_alone():
    assert CFG.replace(n_layers=5).n_layers == 5
    assert CFG.n_layers == 2


def test_parts_come_back_from_json_as_what_they_were():
    cfg = CFG.replace(
        position=PositionConfig("sincos", prefix=False),
        ln_pre=NormConfig("rms", 1e-3, affine=False),
        norm=None,
        attention=AttentionConfig(qkv_bias=False, qk_norm=NormConfig("rms")),
        pooling=PoolingConfig("mean", NormConfig(eps=0.1), norm_first=False),
    )
    read = HookedViTConfig.from_dict(json.loads(json.dumps(cfg.to_dict())))
    assert read == cfg and hash(read) == hash(cfg)
    assert isinstance(read.attention.qk_norm, NormConfig)


def test_a_description_may_leave_out_what_has_a_default():
    assert HookedViTConfig.from_dict({"n_layers": 1, "d_model": 8, "n_heads": 2}) == (
        HookedViTConfig(1, 8, 2)
    )
