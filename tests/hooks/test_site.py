"""Which entries of which tensor a site means."""

import itertools

import pytest
import torch

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE
from vitreous._errors import UnknownNameError
from vitreous.hooks import Ablate, Edit, site
from vitreous.models import MapConfig, NormConfig, PoolingConfig

REGISTERED = THREE.replace(n_registers=2)  # cls, two registers, a 2 x 3 grid
MODEL, IMAGES = build(REGISTERED), images_for(REGISTERED)
VALUES = MODEL.run_with_cache(IMAGES)[1]


def touched(where):
    """The indices of the entries that an intervention at a site changes, by dimension."""
    resolved = MODEL.resolve_site(where)
    _, cache = MODEL.run_with_cache(
        IMAGES, fwd_hooks=Edit(where, lambda values, hook: values + 1).hooks(MODEL)
    )
    changed = ((cache[resolved.name] - VALUES[resolved.name]).abs() > 0.5).nonzero()
    every = [sorted(set(column.tolist())) for column in changed.T]
    assert len(changed) == len(list(itertools.product(*every)))  # a full box
    return resolved.name, *every[1:]


POOLED = THREE.replace(
    patch_norm=NormConfig(), pooling=PoolingConfig("map", map=MapConfig(2, 3, 8, d_mlp=5))
)


@pytest.mark.parametrize(
    ("where", "shape"),
    [
        (site("pooling.map.hook_k", head=1, positions=(1, 2)), (2, 1, 1, 3)),
        (site("pooling.map.hook_v", positions="patches"), (2, 6, 2, 3)),
        (site("pooling.map.hook_z", head=0), (2, 1, 1, 3)),
        (site("pooling.map.hook_q", neuron=2), (2, 1, 2, 1)),
        (site("pooling.map.hook_pattern", head=1, keys=[0, -1]), (2, 1, 1, 2)),
        (site("pooling.map.hook_attn_scores", positions="readout", keys="cls"), (2, 2, 1, 1)),
        (site("pooling.map.mlp.hook_post", neuron=(0, 4)), (2, 1, 2)),
        (site("pooling.map.hook_pooled", neuron=7), (2, 1, 1)),
        (site("embedding.hook_patches", neuron=3), (2, 6, 1)),
    ],
    ids=lambda value: str(value),
)
def test_sites_on_a_pooling_by_attention_and_on_patches(where, shape):
    model, images = build(POOLED), images_for(POOLED)
    _, cache = model.run_with_cache(images)
    resolved = model.resolve_site(where)
    assert resolved.read(cache[resolved.name]).shape == shape
    with model.intervene(Ablate(where, "zero")):
        _, ablated = model.run_with_cache(images)
    assert not resolved.read(ablated[resolved.name]).any()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (site("embedding.hook_patches", positions="patches"), "must have a token dimension"),
        (site("pooling.map.hook_z", positions="patches"), "this point has 1"),
        (site("pooling.map.hook_pooled", head=0), "must have a head dimension"),
    ],
    ids=lambda value: str(value),
)
def test_what_a_site_behind_a_pooling_can_not_mean_raises(where, says):
    model, images = build(POOLED), images_for(POOLED)
    with pytest.raises(ValueError, match=says), model.intervene(Ablate(where, "zero")):
        model(images)


def everything(size):
    return list(range(size))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (site("L1H0"), ("blocks.1.attn.hook_z", everything(9), [0], everything(4))),
        (site("L2M"), ("blocks.2.hook_mlp_out", everything(9), everything(8))),
        (site("L0A", positions="cls"), ("blocks.0.hook_attn_out", [0], everything(8))),
        (site("L1N5"), ("blocks.1.mlp.hook_post", everything(9), [5])),
        (
            site("blocks.1.attn.hook_z", head=[0, 1], positions=(1, 2)),
            ("blocks.1.attn.hook_z", [8], [0, 1], everything(4)),
        ),
        (
            site("blocks.0.attn.hook_pattern", head=1, positions="registers", keys=[0, -1]),
            ("blocks.0.attn.hook_pattern", [1], [1, 2], [0, 8]),
        ),
        (
            site("blocks.2.hook_resid_post", neuron=(1, -1), positions=[4, 0]),
            ("blocks.2.hook_resid_post", [0, 4], [1, 7]),
        ),
        (
            site("blocks.0.hook_q_input", head=1, positions=0, neuron=2),
            ("blocks.0.hook_q_input", [0], [1], [2]),
        ),
        (site("hook_ln_final", neuron=3), ("hook_ln_final", everything(9), [3])),
        (site("hook_post_head_pre_normalize", neuron=1), ("hook_post_head_pre_normalize", [1])),
        (site("k2", head=-1), ("blocks.2.attn.hook_k", everything(9), [1], everything(4))),
    ],
)  # fmt: skip
def test_a_site_is_exactly_these_entries(where, expected):
    assert touched(where) == expected


def test_a_mask_selects_tokens_or_patches():
    grid = torch.zeros(2, 3, dtype=torch.bool)
    grid[1, 0] = True
    tokens = torch.zeros(9, dtype=torch.bool)
    tokens[[0, 6]] = True
    assert touched(site("L0M", positions=grid))[1] == [6]
    assert touched(site("L0M", positions=tokens))[1] == [0, 6]


def test_reading_a_site_keeps_every_dimension():
    resolved = MODEL.resolve_site(site("L1H1", positions=(0, 1)))
    read = resolved.read(VALUES[resolved.name])
    assert torch.equal(read, VALUES[resolved.name][:, 4:5, 1:2])


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        (site("L1M", head=0), ValueError, "must have a head dimension for this site; it has image"),
        (site("L1H0", keys="cls"), ValueError, "must have a key dimension for this site"),
        (site("ln2.hook_scale"), UnknownNameError, "No hook point is named 'ln2.hook_scale'"),
        (site("blocks.0.attn.hook_pattern", neuron=3), ValueError, "must have a neuron dimension"),
        (site("L3H0"), ValueError, r"`L3H0` must name a layer in 0\.\.2; got 3"),
        (site("L1H2"), ValueError, r"`head` must lie in 0\.\.1; got \[2\]"),
        (site("L1N99"), ValueError, r"must lie in 0\.\.8; got \[99\]"),
        (site("blocks.1.attn.hook_z", head=()), ValueError, "no index at all"),
        (site("L1M", positions=9), ValueError, r"A token index must lie in 0\.\.8; got 9"),
        (site("L1M", positions="distillation"), ValueError, "must select a token"),
    ],
)
def test_what_a_site_can_not_mean_raises(where, error, says):
    with pytest.raises(error, match=says):
        touched(where)


def test_a_head_named_twice_must_agree():
    with pytest.raises(ValueError, match="names a head already"):
        MODEL.resolve_site(site("L1H0", head=1))
    with pytest.raises(ValueError, match="names a neuron already"):
        MODEL.resolve_site(site("L1N0", neuron=1))


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (site("L1H0"), "L1H0"),
        (site("L1M", positions="cls"), "L1M[positions=cls]"),
        (site("hook_pattern", head=2, keys=(0, 1)), "hook_pattern[head=2, keys=(0, 1)]"),
    ],
)
def test_a_site_prints_as_what_was_asked_for(where, text):
    assert str(where) == text


def test_a_row_and_column_at_another_image_size_raise_rather_than_mean_another_patch():
    free = THREE.replace(position=None)
    model, large = build(free), images_for(free.replace(image_size=(6, 12)))
    edit = Edit(site("L1M", positions=(1, 0)), lambda values, hook: values + 1)
    with (
        pytest.raises(ValueError, match="another number than at the model's"),
        model.intervene(edit),
    ):
        model(large)
    with model.intervene(Edit(site("L1M", positions="patches"), lambda values, hook: values + 1)):
        model(large)
