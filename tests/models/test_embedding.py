"""From pixels to tokens, and where each of them stands."""

import math

import pytest
import torch

from tests.laws._models import assert_equal, build, images_for
from vitreous.models import HookedViTConfig, PositionConfig

SHAPE = HookedViTConfig(1, 8, 2, image_size=(4, 9), patch_size=(2, 3))  # 2 rows of 3 patches
SINCOS = PositionConfig("sincos")


def expected_sincos(rows: int, columns: int, d_model: int) -> torch.Tensor:
    """Number by number: half of the width for the column and half for the row, sines first."""
    table, quarter = [], d_model // 4
    for row in range(rows):
        for column in range(columns):
            waves = []
            for place in (column, row):
                speeds = [1 / 10000 ** (k / quarter) for k in range(quarter)]
                waves += [math.sin(place * speed) for speed in speeds]
                waves += [math.cos(place * speed) for speed in speeds]
            table.append(waves)
    return torch.tensor(table, dtype=torch.float64)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (3, 2), (5, 1)])
@pytest.mark.parametrize("d_model", [4, 8, 12])
def test_fixed_positions_are_the_waves_of_the_definition(rows, columns, d_model):
    size = {"image_size": (2 * rows, 3 * columns), "d_model": d_model, "d_head": 4}
    model = build(SHAPE.replace(**size, position=SINCOS, n_registers=2))
    assert_equal(model.W_pos[3:], expected_sincos(rows, columns, d_model))
    assert not model.W_pos[:3].any()  # class and register tokens stand nowhere


def test_fixed_positions_follow_the_image_to_another_size():
    model = build(SHAPE.replace(position=SINCOS))
    images = images_for(SHAPE.replace(image_size=(8, 6)))
    _, cache = model.run_with_cache(images)
    assert cache.layout.grid == (1, 4, 2)
    assert_equal(cache["hook_pos_embed"][:, 1:], expected_sincos(4, 2, 8).expand(2, -1, -1))


@pytest.mark.parametrize("prefix", [True, False])
def test_learned_positions_stand_in_the_order_of_the_tokens(prefix):
    model = build(SHAPE.replace(n_registers=2, position=PositionConfig(prefix=prefix)))
    learned = model.embedding.pos
    assert len(learned) == (9 if prefix else 6)
    assert torch.equal(model.W_pos[-len(learned) :], learned)
    assert not model.W_pos[: 9 - len(learned)].any()


def test_a_patch_token_is_the_patch_times_the_embedding():
    model = build(SHAPE.replace(n_registers=1))
    images = images_for(SHAPE)
    tokens = model.run_with_cache(images)[1]["hook_embed"]
    for row in range(2):
        for column in range(3):
            patch = images[:, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            written = patch.flatten(1) @ model.W_E + model.b_E
            assert_equal(tokens[:, model.layout.index(row, column)], written)


def test_tokens_in_front_are_the_same_for_every_image():
    model = build(SHAPE.replace(distillation_token=True, n_registers=2))
    tokens = model.run_with_cache(images_for(SHAPE))[1]["hook_embed"]
    own = model.embedding
    for image in tokens:
        assert_equal(image[:1], own.cls_token[0])
        assert_equal(image[1:2], own.distillation_token[0])
        assert_equal(image[2:4], own.registers[0])


def test_moving_a_patch_moves_its_token_and_no_other():
    model = build(SHAPE)
    images = images_for(SHAPE, 1)
    changed = images.clone()
    changed[:, :, 2:, 3:6] += 1
    difference = model.embedding(changed) - model.embedding(images)
    assert difference[0].any(1).nonzero().flatten().tolist() == [model.layout.index(1, 1)]


def test_a_model_without_positions_can_not_tell_where_a_patch_is():
    model = build(SHAPE.replace(position=None))
    images = images_for(SHAPE)
    turned = torch.cat([images[..., 3:], images[..., :3]], -1)  # whole patches, one to the left
    assert_equal(model(turned), model(images))
    assert "hook_pos_embed" not in model.hook_dict


def test_positions_can_be_trained_and_fixed_ones_can_not():
    names = dict(build(SHAPE).named_parameters())
    assert names["embedding.pos"].requires_grad
    assert "embedding.pos" not in dict(build(SHAPE.replace(position=SINCOS)).named_parameters())
