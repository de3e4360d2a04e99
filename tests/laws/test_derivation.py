"""What a cache doesn't hold it derives: truly, from what was there in the run, or not at all."""

import pytest
from hypothesis import strategies as st

from tests.laws._definition import defined
from tests.laws._models import (
    assert_equal,
    attentions,
    build,
    configs,
    images_for,
    law,
    norms,
)
from tests.laws.test_hook_points import own_and_shared, replacement, some_of
from tests.tiny import READOUTS, images_of, random_model
from vitreous._errors import HookError
from vitreous.models import AttentionConfig, PositionConfig, RotaryConfig


def contradicts(edits):
    """Whether both the shared norm of a block and an input of its own are edited."""
    own, shared = own_and_shared(edits)
    return bool(own & shared)


def assert_all_readable_values_are(values, cache):
    for name, value in values.items():
        if name in cache:
            assert_equal(cache[name], value, name)
        else:
            with pytest.raises(HookError, match="must be stored or derive from what is stored"):
                cache[name]


@law(configs(), st.data(), examples=60)
def test_a_value_never_derives_past_an_edit(cfg, data):
    model, images = build(cfg), images_for(cfg)
    values = defined(model, images)[1]
    edited = some_of(data, model.hook_names(), most=3)
    edits = {name: replacement(name, values[name]) for name in edited}
    if contradicts(edits):
        return
    wanted = data.draw(st.none() | st.just(some_of(data, model.hook_names(), most=5)))
    hooks = [(name, lambda value, hook: edits[hook.name]) for name in edits]
    _, cache = model.run_with_cache(images, names_filter=wanted, fwd_hooks=hooks)
    assert_all_readable_values_are(defined(model, images, edits)[1], cache)


@law(configs(), st.data(), examples=40)
def test_what_derives_from_a_few_stored_values_is_what_the_run_computed(cfg, data):
    model, images = build(cfg), images_for(cfg)
    wanted = some_of(data, model.hook_names(), most=4)
    _, cache = model.run_with_cache(images, names_filter=wanted)
    assert set(wanted) == set(cache)
    assert_all_readable_values_are(defined(model, images)[1], cache)


@law(configs())
def test_everything_derives_from_the_embedding_alone(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images, names_filter="hook_embed", return_type=None)
    assert_all_readable_values_are(defined(model, images)[1], cache)
    inside = [name for name in model.hook_names() if not name.startswith("embedding.")]
    assert all(name in cache for name in inside)


@law(configs(n_layers=2), st.data(), examples=40)
def test_a_restarted_run_derives_nothing_in_front_of_its_start(cfg, data):
    model, images = build(cfg), images_for(cfg)
    start = data.draw(st.integers(0, 2))
    resid = model(images, stop_at_layer=start)
    _, cache = model.run_with_cache(resid, start_at_layer=start)
    assert_all_readable_values_are(defined(model, images)[1], cache)
    in_front = {"hook_embed", *(n for n in model.hook_names() if n.startswith("blocks.0."))}
    assert not any(name in cache for name in (in_front if start else ["hook_embed"]))


@law(configs())
def test_derived_values_survive_the_loss_of_the_batch_dimension(cfg):
    model, images = build(cfg), images_for(cfg, 1)
    _, cache = model.run_with_cache(images, remove_batch_dim=True)
    for name, value in defined(model, images)[1].items():
        assert_equal(cache[name], value[0], name)


@law(configs())
def test_iterating_keeps_nothing_and_reading_keeps_what_was_read(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images)
    before = cache.stored_names
    assert [name for name, _ in cache.items()] == list(cache.keys())
    assert len(list(cache.values())) == len(cache)
    assert cache.stored_names == before
    first = cache["hook_full_embed"]
    assert cache["hook_full_embed"] is first
    assert "hook_full_embed" in cache.stored_names


@law(configs())
def test_no_gradient_is_made_up_from_activations(cfg):
    model, images = build(cfg), images_for(cfg)
    _, cache = model.run_with_cache(images)
    for name in model.hook_names():
        assert f"{name}_grad" not in cache
        with pytest.raises(HookError, match="_grad` must be stored"):
            cache[f"{name}_grad"]


def sizeless(**fixed):
    """Configurations that may hold nothing for a place."""
    position = st.sampled_from([None, PositionConfig("sincos", False, frames="added")])
    return configs(position=position, stem=False, **fixed)


@law(
    sizeless(attention=attentions(turns=False, offsets=False), n_frames=st.sampled_from([1, 2])),
    examples=15,
)
def test_other_image_sizes_derive_as_they_ran(cfg):
    model = build(cfg)
    size = ((cfg.grid[0] + 1) * 2, (cfg.grid[1] + 2) * 3)
    images = images_for(cfg.replace(image_size=size))
    _, cache = model.run_with_cache(images)
    _, materialised = model.run_with_cache(images, names_filter=model.hook_names())
    assert cache.layout.grid == (cfg.places[0], size[0] // 2, size[1] // 3)
    for name, value in materialised.items():
        assert_equal(cache[name], value, name)
    larger = build(cfg.replace(image_size=size))
    larger.load_state_dict(model.state_dict())
    assert_equal(model(images), larger(images))


HELD_FOR_A_PLACE = {
    "learned positions": configs(position=st.just(PositionConfig())),
    "a stem": configs(stem=True),
    "angles": sizeless(
        attention=st.just(AttentionConfig(rotary=RotaryConfig())), d_head=6, n_frames=1
    ),
    "offsets": sizeless(
        attention=st.just(AttentionConfig(relative_bias=True)),
        cls_token=True,
        distillation_token=False,
        n_registers=0,
        n_frames=1,
    ),
    "divided attention": sizeless(
        attention=st.just(AttentionConfig(space_time="divided")),
        out_norm=None,
        parallel=False,
        n_frames=3,
    ),
}


@pytest.mark.parametrize("held", HELD_FOR_A_PLACE)
def test_images_of_another_size_are_refused_where_something_is_held_for_each_place(held):
    @law(HELD_FOR_A_PLACE[held], examples=5)
    def refused(cfg):
        model, size = build(cfg), ((cfg.grid[0] + 1) * 2, cfg.grid[1] * 3)
        with pytest.raises(ValueError, match=r"Images must be .* pixels for this model"):
            model(images_for(cfg.replace(image_size=size)))
        if held in ("angles", "offsets", "divided attention"):
            stream = model(images_for(cfg), stop_at_layer=0)[:, :-1]
            with pytest.raises(ValueError, match=r"The stream must have \d+ tokens"):
                model(stream, start_at_layer=0)

    refused()


@pytest.mark.parametrize("readout", READOUTS)
def test_no_value_derives_past_any_point_of_a_block_or_of_the_readout(readout):
    model = random_model(n_layers=1, **READOUTS[readout])
    images = images_of(model, 1)
    values = defined(model, images)[1]
    for name in model.hook_names():
        edits = {name: replacement(name, values[name])}
        hooks = [(name, lambda value, hook, edits=edits: edits[hook.name])]
        _, cache = model.run_with_cache(images, fwd_hooks=hooks)
        assert_all_readable_values_are(defined(model, images, edits)[1], cache)


@law(configs(norm=norms()), st.data(), examples=20)
def test_an_input_per_head_that_was_only_read_does_not_hide_an_edit_of_the_shared_norm(cfg, data):
    model, images = build(cfg), images_for(cfg)
    values = defined(model, images)[1]
    names = data.draw(st.sampled_from(model.blocks[0].attentions))
    point = f"blocks.0.{names.norm}.hook_{data.draw(st.sampled_from(['scale', 'normalized']))}"
    own = data.draw(st.sampled_from([names.enters, *map(names.input, "qkv")]))
    edits = {point: replacement(point, values[point])}
    wanted = ["hook_embed", f"blocks.0.{own}"]
    hooks = [(point, lambda value, hook: edits[hook.name])]
    _, cache = model.run_with_cache(images, names_filter=wanted, fwd_hooks=hooks)
    assert_all_readable_values_are(defined(model, images, edits)[1], cache)
