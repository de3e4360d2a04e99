"""The life of a hook: when it fires, what it is told, and that it ends."""

import gc
import weakref

import pytest
import torch

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE, keep
from vitreous._errors import HookError, UnknownNameError
from vitreous.hooks import Ablate

Z = "blocks.1.attn.hook_z"


class Broken(Exception):
    pass


def break_off(value, hook):
    raise Broken


@pytest.fixture
def model():
    return build(THREE)


@pytest.fixture
def images():
    return images_for(THREE)


def hooks_left(model):
    points = model.hook_dict.values()
    return [p.name for p in points if p.fwd_hooks or p.bwd_hooks or p.recorder or p.watched]


def note(log, what):
    return lambda value, hook: log.append(what)


# ---- clean-up


def test_a_hook_that_raises_leaves_none_behind(model, images):
    with pytest.raises(Broken):
        model.run_with_hooks(images, fwd_hooks=[("hook_embed", keep), (Z, break_off)])
    with pytest.raises(Broken), model.hooks(fwd_hooks=[("*", keep), (Z, break_off)]):
        model(images)
    with pytest.raises(Broken):
        model.run_with_cache(images, fwd_hooks=[(Z, break_off)])
    assert hooks_left(model) == []


def test_an_exception_of_the_caller_leaves_no_hook_behind(model, images):
    with pytest.raises(Broken), model.hooks([(Z, keep)], [(Z, keep)]):
        break_off(model(images), None)
    assert hooks_left(model) == []


def test_an_exception_in_the_backward_pass_leaves_no_hook_behind(model, images):
    with pytest.raises(Broken), model.hooks(bwd_hooks=[(Z, break_off)]):
        model(images).sum().backward()
    output = model.run_with_hooks(images, bwd_hooks=[(Z, break_off)])
    with pytest.raises(Broken):
        output.sum().backward()
    with pytest.raises(Broken):
        model.run_with_cache(images, incl_bwd=lambda logits: break_off(logits, None))
    assert hooks_left(model) == []


def test_an_unknown_name_among_hooks_installs_none_of_them(model, images):
    with pytest.raises(UnknownNameError), model.hooks([(Z, keep), ("blocks.9.hook_z", keep)]):
        pass
    with pytest.raises(UnknownNameError):
        model.run_with_hooks(images, fwd_hooks=[(Z, keep), ("nothing", keep)])
    assert hooks_left(model) == []


def test_an_intervention_that_raises_leaves_no_hook_behind(model, images):
    several = [Ablate("L0H1", "zero"), Ablate("L1H7", "zero")]
    with pytest.raises(ValueError, match=r"`head` must lie in 0\.\.1"), model.intervene(several):
        model(images)
    assert hooks_left(model) == []


def test_an_exception_in_an_inner_context_leaves_the_outer_hooks_alone(model, images):
    log = []
    with model.hooks([(Z, note(log, "outer"))]):
        with pytest.raises(Broken), model.hooks([(Z, break_off)]):
            model(images)
        model(images)
    assert log == ["outer", "outer"]
    assert hooks_left(model) == []


def test_a_cached_run_frees_what_it_recorded(model, images):
    _, cache = model.run_with_cache(images)
    value = weakref.ref(cache["q", 0])
    del cache
    gc.collect()
    assert value() is None


# ---- order and lifetimes


def test_contexts_nest_and_their_hooks_fire_from_the_outside_in(model, images):
    log = []
    with model.hooks([(Z, note(log, 1))]), model.hooks([(Z, note(log, 2)), (Z, note(log, 3))]):
        model(images)
    assert log == [1, 2, 3]


def test_a_prepended_hook_fires_first(model, images):
    log = []
    model.add_hook(Z, note(log, 1))
    model.add_hook(Z, note(log, 2), prepend=True)
    model(images)
    assert log == [2, 1]


def test_each_hook_gets_what_the_one_before_it_left(model, images):
    seen = []
    hooks = [
        (Z, lambda value, hook: value.fill_(2)),
        (Z, lambda value, hook: value + 1),
        (Z, lambda value, hook: seen.append(value.unique().tolist())),
    ]
    with torch.no_grad():
        model.run_with_hooks(images, fwd_hooks=hooks)
    assert seen == [[3.0]]


def test_reset_spares_permanent_hooks_until_told_otherwise(model, images):
    log = []
    model.add_hook(Z, note(log, "stays"), is_permanent=True)
    model.add_hook(Z, note(log, "goes"))
    model.add_hook(Z, keep, "bwd")
    model.reset_hooks()
    model(images)
    assert log == ["stays"]
    model.reset_hooks(including_permanent=True)
    assert hooks_left(model) == []


def test_a_removed_hook_is_silent_for_graphs_that_it_was_in(model, images):
    log = []
    [hook] = model.add_hook(Z, note(log, "backward"), "bwd")
    output = model(images).sum()
    hook.remove()
    output.backward()
    assert log == []
    hook.remove()  # a second time does nothing


def test_backward_hooks_of_one_run_know_nothing_of_a_later_pass(model, images):
    log = []
    output = model.run_with_hooks(images, bwd_hooks=[(Z, note(log, "mine"))])
    model(images).sum().backward()
    assert log == []
    output.sum().backward()
    assert log == ["mine"]


def test_backward_hooks_fire_once_each_and_from_the_last_point_to_the_first(model, images):
    log = []
    hooks = [(model.hook_names(on_demand=False), lambda gradient, hook: log.append(hook.name))]
    with model.hooks(bwd_hooks=hooks):
        model(images).sum().backward()
    assert sorted(log) == sorted(model.hook_names(on_demand=False))
    embed, logits = log.index("hook_embed"), log.index("hook_post_head_pre_normalize")
    assert logits < log.index(Z) < embed


def test_two_models_do_not_share_hooks(images):
    one, other, log = build(THREE), build(THREE, seed=3), []
    with one.hooks([(Z, note(log, "one"))]):
        one(images)
        other(images)
    assert log == ["one"]


def test_the_scratch_dictionary_of_a_point_lasts_until_hooks_are_reset(model, images):
    def remember(value, hook):
        hook.ctx["sum"] = value.sum()

    model.run_with_hooks(images, fwd_hooks=[(Z, remember)])
    assert "sum" in model.hook_dict[Z].ctx
    model.reset_hooks()
    assert model.hook_dict[Z].ctx == {}


def test_a_hook_knows_the_name_and_the_layer_of_its_point(model, images):
    seen = []
    hooks = [("blocks.*.attn.hook_z", lambda value, hook: seen.append((hook.name, hook.layer())))]
    model.run_with_hooks(images, fwd_hooks=hooks)
    assert seen == [(f"blocks.{i}.attn.hook_z", i) for i in range(3)]


# ---- silence is loud


def test_a_hook_that_never_fired_raises(model, images):
    silent, way_out = model.hooks([("hook_ln_final", keep)]), "the pass didn't come by"
    with pytest.raises(HookError, match=rf"1 never did \(hook_ln_final\): {way_out}"), silent:
        model(images, stop_at_layer=1)
    silent = model.hooks(bwd_hooks=[(Z, keep)])
    with pytest.raises(HookError, match="no backward pass ran inside the `with`"), silent:
        model(images)
    assert hooks_left(model) == []


def test_a_context_without_a_pass_warns(model):
    silent = model.hooks([(Z, keep)])
    with pytest.warns(UserWarning, match="No forward pass ran inside this context"), silent:
        pass


def test_a_context_without_hooks_or_pass_is_silent(model):
    with model.hooks(), model.intervene([]):
        pass


def test_an_exception_is_not_hidden_by_hooks_that_never_fired(model, images):
    with pytest.raises(Broken), model.hooks([("hook_ln_final", keep)]):
        break_off(model(images, stop_at_layer=1), None)


# ---- hooks that do unusual things


def test_a_hook_may_remove_itself_during_a_pass(model, images):
    log = []

    def once(value, hook):
        log.append(hook.name)
        installed.pop().remove()

    installed = model.add_hook(Z, once)
    model(images)
    model(images)
    assert log == [Z]


def test_a_hook_removed_by_an_earlier_one_does_not_fire_any_more(model, images):
    log = []
    model.add_hook(Z, lambda value, hook: later.remove())
    [later] = model.add_hook(Z, note(log, "removed"))
    model(images)
    assert log == []


def test_an_edit_by_a_hook_that_was_added_during_the_pass_is_not_derived_past(model, images):
    def zero(value, hook):
        return torch.zeros_like(value)

    def add_another(value, hook):
        model.add_hook("blocks.1.hook_mlp_out", zero)

    _, cache = model.run_with_cache(
        images, names_filter="hook_embed", fwd_hooks=[("hook_embed", add_another)]
    )
    assert not cache["mlp_out", 1].any()
    assert torch.equal(cache["resid_post", 1], cache["resid_mid", 1])


def test_a_hook_may_run_the_model_without_disturbing_the_run_that_it_is_in(model, images):
    plain = model.run_with_cache(images, names_filter=model.hook_names())[1]

    def run_another(value, hook):
        model(images * 2, stop_at_layer=1)
        model.run_with_cache(images * 3, names_filter="blocks.0.*", stop_at_layer=1)

    _, cache = model.run_with_cache(
        images, names_filter=model.hook_names(), fwd_hooks=[(Z, run_another)]
    )
    for name, value in cache.items():
        assert torch.equal(value, plain[name]), name


def test_a_hook_that_keeps_its_tensor_keeps_what_it_saw(model, images):
    kept = []
    edits = [(Z, lambda value, hook: kept.append(value)), (Z, lambda value, hook: value.zero_())]
    with torch.no_grad():
        _, cache = model.run_with_cache(images, fwd_hooks=edits)
    assert torch.equal(kept[0], model.run_with_cache(images)[1][Z])
    kept[0].zero_()
    assert not cache[Z].any()


def test_a_returned_tensor_that_is_changed_later_does_not_change_the_cache(model, images):
    mine = torch.ones(2, model.layout.n_tokens, 2, 4, dtype=torch.float64)
    _, cache = model.run_with_cache(images, fwd_hooks=[(Z, lambda value, hook: mine)])
    mine.zero_()
    assert (cache[Z] == 1).all()


def test_an_in_place_change_counts_under_inference_mode(model, images):
    with torch.inference_mode():
        edited = model.run_with_hooks(images, fwd_hooks=[(Z, lambda value, hook: value.zero_())])
        silent = model.run_with_hooks(
            images, fwd_hooks=[(Z, lambda value, hook: setattr(hook, "ctx", {"z": value.zero_()}))]
        )
    assert torch.equal(edited, silent) and not torch.equal(edited, model(images))


def test_torch_hooks_on_a_point_raise_where_they_would_never_fire(model):
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        with pytest.raises(HookError, match="Torch's own hooks don't fire on hook point"):
            getattr(model.hook_dict[Z], register)(keep)
