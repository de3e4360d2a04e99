"""Values held at another run: what is left is linear, and what is held is that run's."""

import functools

import pytest
import torch

from tests.laws._models import assert_equal
from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import Ablate, Freeze, wrap
from vitreous.models import HookedViT

# Pooling, norms and attention of every kind, at a fifth of the cost of all.
SOME = (
    "registers, ln_pre, LayerScale",
    "mean in front of the norm",
    "attention only, RMSNorm",
    "a norm behind attention pooling",
    "clips, attention over time and over space",
)


@functools.cache
def model_of(name: str) -> HookedViT:
    return random_model(**READOUTS[name])


def under(model, interventions, images):
    with torch.no_grad(), model.intervene(interventions):
        return model(images)


def curvature(model, freeze):
    """How far the model is from an affine function of its images."""
    one, two = images_of(model, 2, seed=3), images_of(model, 2, seed=4)
    return (
        (
            under(model, freeze, one + two)
            - under(model, freeze, one)
            - under(model, freeze, two)
            + under(model, freeze, torch.zeros_like(one))
        )
        .abs()
        .max()
    )


@pytest.mark.parametrize("readout", READOUTS)
def test_a_model_with_patterns_norms_and_mlps_frozen_is_linear(readout):
    model = model_of(readout)
    freeze = Freeze.of(model, images_of(model))
    assert curvature(model, freeze) < 1e-10
    assert curvature(model, []) > 1e-3
    images = images_of(model, 2, seed=3)
    assert (under(model, freeze, images) - under(model, freeze, 2 * images)).abs().max() > 1e-4


@pytest.mark.parametrize("left_out", ["patterns", "norms", "mlps"])
def test_none_of_the_three_is_frozen_by_the_others(left_out):
    model = model_of("class token")
    what = [each for each in ("patterns", "norms", "mlps") if each != left_out]
    assert curvature(model, Freeze.of(model, images_of(model), what)) > 1e-5


@pytest.mark.parametrize("readout", SOME)
def test_a_run_frozen_at_itself_is_that_run(readout):
    model = model_of(readout)
    images = images_of(model)
    _, cache = model.run_with_cache(images)
    for freeze in (Freeze(cache), Freeze.of(model, images)):
        assert_equal(under(model, freeze, images), model(images))


@pytest.mark.parametrize("readout", SOME)
def test_everything_frozen_is_the_other_run(readout):
    model = model_of(readout)
    base, other = images_of(model), images_of(model, seed=8)
    assert_equal(under(model, Freeze.of(model, base, "*"), other), model(base))


def test_what_is_held_is_the_other_runs_and_the_rest_is_not():
    model = model_of("registers, ln_pre, LayerScale")
    base, other = images_of(model), images_of(model, seed=8)
    _, held = model.run_with_cache(base)
    freeze = Freeze(held, "patterns", layers=-2, positions="patches")
    with model.intervene(freeze):
        _, cache = model.run_with_cache(other)
    _, plain = model.run_with_cache(other)
    assert_equal(cache["pattern", 1][:, :, 3:], held["pattern", 1][:, :, 3:])
    assert_equal(cache["pattern", 1][:, :, :3], plain["pattern", 1][:, :, :3])
    assert_equal(cache["pattern", 0], plain["pattern", 0])


def test_norms_are_held_in_the_embedding_and_the_readout_too():
    model = model_of("registers, ln_pre, LayerScale")
    names = [site.name for site in Freeze.of(model, images_of(model), "norms").sites(model)]
    assert names[0] == "ln_pre.hook_scale" and names[-1] == "ln_final.hook_scale"
    assert len(names) == 2 + 2 * model.cfg.n_layers
    some = Freeze.of(model, images_of(model), "norms", layers=1)
    assert [s.name for s in some.sites(model)] == [f"blocks.1.ln{i}.hook_scale" for i in (1, 2)]


@pytest.mark.parametrize("readout", SOME)
def test_tokens_can_be_frozen_alone_on_every_model(readout):
    model = model_of(readout)
    freeze = Freeze.of(model, images_of(model), positions=[0, -1])
    held = under(model, freeze, images_of(model, seed=8))
    assert held.isfinite().all()
    assert not any("pooling" in site.name for site in freeze.sites(model))


def test_one_image_serves_all():
    model = model_of("class token")
    one = images_of(model)[:1]
    freeze = Freeze.of(model, one)
    assert len(freeze.source["blocks.0.hook_mlp_out"]) == 1
    assert curvature(model, freeze) < 1e-10


def test_a_frozen_mlp_answers_no_ablation_upstream():
    model = model_of("class token")
    images = images_of(model)
    freeze = Freeze.of(model, images, "mlps", layers=2)
    with model.intervene([freeze, Ablate("L1A", "zero")]):
        _, cache = model.run_with_cache(images)
    assert_equal(cache["mlp_out", 2], model.run_with_cache(images)[1]["mlp_out", 2])


def test_a_wrapped_module_is_frozen_by_names():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    model = wrap(module.double())
    one, two = torch.randn(2, 3, 4, dtype=torch.float64)
    with model.intervene(Freeze.of(model, one, "1")):
        assert_equal(model(two), model.run_with_cache(one)[0])
    assert (model(two) - model(one)).abs().max() > 1e-3


def test_freezes_print_what_they_hold():
    model = model_of("class token")
    freeze = Freeze.of(model, images_of(model), "mlps", layers=[0])
    assert repr(freeze) == "Freeze(source=<1 tensors>, what=('mlps',), layers=(0,))"
