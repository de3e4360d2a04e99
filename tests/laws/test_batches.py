"""Images of a batch don't see one another, and batched interventions are separate runs."""

import pytest
import torch
from hypothesis import strategies as st

from tests.laws._definition import defined
from tests.laws._models import assert_equal, build, configs, images_for, law, random_like
from tests.laws.test_hook_points import some_of
from tests.laws.test_spans import THREE
from vitreous.hooks import Ablate, ActivationPatch, Batched, Edit, Steer, site


def double(values, hook):
    return values * 2


def some_interventions(data, model, values):
    """One of each kind, somewhere."""

    def point():
        names = [n for n in model.hook_names(on_demand=False) if n.startswith("blocks.")]
        return data.draw(st.sampled_from([n for n in names if not n.endswith("hook_scale")]))

    steered, patched = point(), point()
    direction = random_like(values[steered])[0].flatten(0, -2)[0]
    return [
        Ablate(point(), "zero"),
        Steer(site(steered, positions=-1), direction, 0.5),
        ActivationPatch(site(patched), random_like(values[patched]).abs()[:1]),
        Edit(site(point(), positions=[0, -1]), double),
    ]


@law(configs(), st.data(), examples=20)
def test_every_value_of_a_batch_is_that_of_its_images_alone(cfg, data):
    model, images = build(cfg), images_for(cfg, 3)
    names = some_of(data, model.hook_names(), most=8)
    _, whole = model.run_with_cache(images, names_filter=names)
    for i in range(3):
        _, alone = model.run_with_cache(images[i : i + 1], names_filter=names)
        for name in names:
            assert_equal(alone[name][0], whole[name][i], name)


@law(configs(), st.data(), examples=30)
def test_batched_interventions_are_separate_runs(cfg, data):
    model, images = build(cfg), images_for(cfg, 2)
    several = some_interventions(data, model, defined(model, images)[1])
    groups = [several[0], [], several[1:], several[2]]
    with model.intervene(Batched.of(groups)):
        together = model(torch.cat([images] * 4)).chunk(4)
    for group, batched in zip(groups, together, strict=True):
        with model.intervene(group):
            alone = model(images)
        assert_equal(batched, alone)


def test_a_batch_that_does_not_divide_into_the_groups_raises():
    model, groups = build(THREE), Batched.of([Ablate("L0H1", "zero"), []])
    with pytest.raises(ValueError, match="2 equal parts"), model.intervene(groups):
        model(images_for(THREE, 3))


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_of_none_or_one_runs_like_any_other(count):
    model, images = build(THREE), images_for(THREE, 3)
    logits, cache = model.run_with_cache(images[:count])
    assert_equal(logits, model(images)[:count])
    expected = model.run_with_cache(images)[1]
    for name in model.hook_names():
        assert_equal(cache[name], expected[name][:count], name)
    assert_equal(cache.get_full_resid_decomposition().sum(0), cache["resid_post", -1])
    assert model.target(1).readout(cache).weights.shape == (count, model.layout.n_tokens, 8)


def test_a_batch_of_none_has_gradients_of_none():
    model = build(THREE)
    _, cache = model.run_with_cache(images_for(THREE, 0), incl_bwd=lambda logits: logits[:, 0])
    assert cache["blocks.1.attn.hook_q_grad"].shape == (0, model.layout.n_tokens, 2, 4)
