"""Registers put in and taken out: equal where nobody looks at them, and back again bit for bit."""

import functools

import pytest
import torch

from tests.laws._models import assert_equal, random_like
from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import KnockOut, ShiftPeak, Steer, site
from vitreous.models import HookedViT, PoolingConfig, load, with_registers, without_registers

TAKES_NONE = ("relative bias", "clips in tubelets, read at the first token")
TAKES_SOME = [name for name in READOUTS if name not in TAKES_NONE]


@functools.cache
def model_of(name: str) -> HookedViT:
    return random_model(**READOUTS[name])


def inserted(model, count):
    return model.layout.select("registers")[-count:]


@pytest.mark.parametrize("readout", TAKES_SOME)
def test_registers_that_nobody_looks_at_change_nothing(readout):
    model = model_of(readout)
    images = images_of(model)
    larger = with_registers(model, 2)
    hide = [KnockOut("all", inserted(larger, 2), spare_self=True)]
    if model.cfg.pooling.kind == "map":
        hide.append(KnockOut("pooling", inserted(larger, 2)))
    with larger.intervene(hide):
        logits, cache = larger.run_with_cache(images)
    _, plain = model.run_with_cache(images)
    others = [t for t in range(larger.layout.n_tokens) if t not in inserted(larger, 2)]
    assert_equal(cache["resid_post", 2][:, others], plain["resid_post", 2])
    if not model.cfg.pooling.counts_prefix:
        assert_equal(logits, model(images))
    assert (larger(images) - model(images)).abs().max() > 1e-3


@pytest.mark.parametrize("readout", TAKES_SOME)
def test_taking_out_what_was_put_in_gives_the_model_back(readout):
    model = model_of(readout)
    back = without_registers(with_registers(model, 3), [-1, -3, -2])
    assert back.cfg == model.cfg and back.layout == model.layout
    state = model.state_dict()
    assert list(back.state_dict()) == list(state)
    assert all(torch.equal(mine, state[name]) for name, mine in back.state_dict().items())
    assert torch.equal(back(images_of(model)), model(images_of(model)))


def test_any_register_may_be_taken_out():
    model = with_registers(model_of("registers, ln_pre, LayerScale"), 1, init="mean")
    rows, pos = model.embedding.registers, model.embedding.pos
    less = without_registers(model, 1)
    assert torch.equal(less.embedding.registers, rows[:, [0, 2]])
    assert torch.equal(less.embedding.pos, pos[[0, 1, 3, *range(4, 10)]])
    assert torch.equal(rows[0, 2], rows[0, :2].mean(0)) and not pos[3].any()
    none = without_registers(less)
    assert none.embedding.registers is None and none.layout.registers == 0
    assert "registers" not in none.layout.names() and none.layout.n_tokens == 7


def test_registers_begin_with_the_vectors_given():
    model, rows = model_of("class token"), random_like(torch.empty(2, 16).double())
    _, cache = with_registers(model, 2, rows).run_with_cache(images_of(model))
    assert_equal(cache["hook_full_embed"][:, 1:3], rows.expand(2, -1, -1))
    _, cache = with_registers(model, 2, rows[0]).run_with_cache(images_of(model))
    assert_equal(cache["hook_full_embed"][:, 1:3], rows[[0, 0]].expand(2, -1, -1))


def test_a_model_with_registers_is_whole(tmp_path):
    model = with_registers(random_model(**READOUTS["rotary, gated, norms inside"]).float(), 2)
    model.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert torch.equal(loaded(images_of(model)), model(images_of(model)))
    assert loaded.card["processing"] == ["with_registers(2)"]
    assert model.check(images_of(model).float())


def test_the_model_that_was_given_stays_as_it_was():
    model = model_of("registers, ln_pre, LayerScale")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    larger = with_registers(model, 1)
    with torch.no_grad():
        for parameter in larger.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert "processing" not in model.card


def test_outlying_norms_move_from_patches_to_a_register():
    """A planted register neuron: it fires at one patch, and writes a long vector there."""
    model = random_model(seed=4, pooling=PoolingConfig("mean"))
    outlier, images = model.layout.index(1, 1), images_of(model)
    with torch.no_grad():
        model.blocks[1].mlp.fc_out.weight[:, 7] = 100.0
    larger = with_registers(model, 1)
    plant = [
        Steer(site("L1N7"), torch.tensor([-1e3]).double()),  # silent, but for one patch
        Steer(site("L1N7", positions=[outlier + 1]), torch.tensor([1e3 + 5]).double()),
    ]
    lengths = []
    for shift in ([], [ShiftPeak("L1N7")]):
        with larger.intervene([*plant, *shift]):
            _, cache = larger.run_with_cache(images, names_filter="blocks.1.hook_resid_post")
        lengths.append(cache["resid_post", 1].norm(dim=-1))
    register = larger.layout.select("registers")[0]
    assert (lengths[1][:, register] > 1e3).all()
    patches = larger.layout.select("patches")
    assert (lengths[1][:, patches].amax(1) < 100).all()


@pytest.mark.parametrize("readout", TAKES_NONE)
def test_a_model_that_has_no_place_for_registers_says_why(readout):
    with pytest.raises(ValueError, match=r"`with_registers` needs .*; got .*Choose another model"):
        with_registers(model_of(readout))
