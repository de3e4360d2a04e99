"""Turned queries and keys: the angles of a new model, and tables that blocks share."""

import copy
import math

import pytest
import torch

import vitreous as vt
from tests.laws._definition import defined
from tests.laws._models import assert_equal, build, images_for
from tests.laws.test_spans import THREE
from vitreous._errors import HookError
from vitreous.models import AttentionConfig, HookedViT, RotaryConfig, weight_hash


def turned(**parts):
    return THREE.replace(attention=AttentionConfig(rotary=RotaryConfig(**parts)))


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_new_model_turns_half_of_the_pairs_by_the_row_and_half_by_the_column(interleaved):
    cfg = turned(interleaved=interleaved).replace(d_head=8, n_registers=1)
    cos = HookedViT(cfg).rotary.cos[0, 0]
    for token, place in enumerate([None, None, *((r, c) for r in range(2) for c in range(3))]):
        for pair in range(4):
            axis, rate = divmod(pair, 2)
            angle = 0 if place is None else place[axis] * 10_000 ** -(rate / 2)
            entries = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + 4)
            for entry in entries:
                assert cos[token, entry].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("per_layer", [False, True])
def test_tables_are_part_of_what_is_saved(per_layer, tmp_path):
    model = build(turned(per_layer=per_layer, per_head=True))
    assert {"rotary.cos", "rotary.sin"} <= set(model.state_dict())
    assert not any("rotary" in name for name in model.state_dict() if name.startswith("blocks."))
    model.save_pretrained(tmp_path)
    loaded = vt.load(tmp_path, dtype=torch.float64)
    assert torch.equal(loaded.rotary.cos, model.rotary.cos)
    assert torch.equal(loaded(images_for(THREE)), model(images_for(THREE)))


def test_the_blocks_of_a_copy_read_the_tables_of_the_copy():
    model, images = build(turned()), images_for(THREE)
    before, other = model(images), copy.deepcopy(model)
    other.rotary.cos.zero_()
    other.rotary.sin.zero_()
    assert all(block.attn.rotary is other.rotary for block in other.blocks)
    assert_equal(other(images), defined(other, images)[0])
    assert torch.equal(model(images), before)
    assert not torch.allclose(other(images), before)


def test_a_change_of_the_tables_is_a_change_of_the_weights():
    model, images = build(turned()), images_for(THREE)
    before, (_, cache) = weight_hash(model), model.run_with_cache(images)
    model.rotary.sin.zero_()
    assert weight_hash(model) != before
    with pytest.raises(HookError, match="have changed since"):
        _ = cache["pattern", 0]


def test_tables_follow_the_model_to_another_precision():
    model = build(turned())
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        model.to(dtype)
        assert {table.dtype for table in model.rotary.buffers()} == {dtype}
        assert model.blocks[1].attn.rotary.cos.dtype == dtype
