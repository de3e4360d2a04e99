"""From what a user types to the points that are meant."""

import pytest

from tests.laws._models import build, images_for
from tests.laws.test_spans import THREE
from vitreous._errors import HookError, UnknownNameError
from vitreous.models import get_act_name

MODEL = build(THREE)
DEFAULT = MODEL.hook_names(on_demand=False)
ON_DEMAND = [name for name in MODEL.hook_names() if name not in DEFAULT]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, DEFAULT),
        ("hook_embed", ["hook_embed"]),
        (("pattern", 1), ["blocks.1.attn.hook_pattern"]),
        (("resid_post", -1), ["blocks.2.hook_resid_post"]),
        ("k2", ["blocks.2.attn.hook_k"]),
        (["blocks.1.hook_resid_pre", "hook_embed"], ["hook_embed", "blocks.1.hook_resid_pre"]),
        ({("z", 0), "hook_embed"}, ["hook_embed", "blocks.0.attn.hook_z"]),
        ("blocks.*.hook_mlp_out", [f"blocks.{i}.hook_mlp_out" for i in range(3)]),
        ("blocks.[12].hook_mlp_out", ["blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"]),
        ("*.hook_result", [f"blocks.{i}.attn.hook_result" for i in range(3)]),
        (lambda name: name.endswith("pos_embed"), ["hook_pos_embed"]),
        (lambda name: True, DEFAULT),
        (lambda name: "1.hook_k_in" in name, ["blocks.1.hook_k_input"]),
        ((name for name in ["hook_embed"]), ["hook_embed"]),
        (["*.attn.hook_z", ("z", 0)], [f"blocks.{i}.attn.hook_z" for i in range(3)]),
    ],
)  # fmt: skip
def test_a_filter_means_these_points_in_forward_order(wanted, names):
    assert MODEL.names.select(wanted) == names


def test_keys_of_a_cache_stand_in_forward_order_however_they_were_asked_for():
    wanted = [*reversed(DEFAULT[5:12]), *reversed(ON_DEMAND)]
    _, cache = MODEL.run_with_cache(images_for(THREE), names_filter=wanted)
    assert list(cache) == [name for name in MODEL.hook_names() if name in wanted]


def test_points_on_demand_are_those_that_cost_something():
    locals_ = {name.split(".", 2)[2] for name in ON_DEMAND}
    inputs = {"hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input", "hook_mlp_in"}
    assert locals_ == {*inputs, "attn.hook_result"}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("pattern", 1), "blocks.1.attn.hook_pattern"),
        (("attn", 1), "blocks.1.attn.hook_pattern"),
        (("attn_scores", -3), "blocks.0.attn.hook_attn_scores"),
        (("attn_logits", 0), "blocks.0.attn.hook_attn_scores"),
        (("query", 2), "blocks.2.attn.hook_q"),
        (("mlp_post", 2), "blocks.2.mlp.hook_post"),
        (("pre", 2), "blocks.2.mlp.hook_pre"),
        (("result", 0), "blocks.0.attn.hook_result"),
        (("scale", 0, "ln1"), "blocks.0.ln1.hook_scale"),
        (("normalized", -1, "ln2"), "blocks.2.ln2.hook_normalized"),
        (("scale",), "ln_final.hook_scale"),
        (("q", 1, "a"), "blocks.1.attn.hook_q"),
        (("resid_mid", 1), "blocks.1.hook_resid_mid"),
        (("embed",), "hook_embed"),
        ("resid_pre0", "blocks.0.hook_resid_pre"),
        ("scale1ln2", "blocks.1.ln2.hook_scale"),
        ("post2", "blocks.2.mlp.hook_post"),
        ("pos_embed", "hook_pos_embed"),
        ("scale", "ln_final.hook_scale"),
    ],
)
def test_shorthands_read_the_same_value(key, name):
    _, cache = MODEL.run_with_cache(images_for(THREE))
    assert cache[key] is cache[name]
    assert key in cache


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("k6",), "blocks.6.attn.hook_k"),
        (("pattern", 2), "blocks.2.attn.hook_pattern"),
        (("embed",), "hook_embed"),
        (("pos_embed",), "hook_pos_embed"),
        (("hook_resid_pre",), "hook_resid_pre"),
        (("blocks.1.attn.hook_q",), "blocks.1.attn.hook_q"),
        (("scale", 4, "ln1"), "blocks.4.ln1.hook_scale"),
        (("scale4ln1",), "blocks.4.ln1.hook_scale"),
        (("pre5",), "blocks.5.mlp.hook_pre"),
        (("normalized",), "ln_final.hook_normalized"),
    ],
)
def test_short_names_are_those_of_the_field(arguments, name):
    assert get_act_name(*arguments) == name


@pytest.mark.parametrize("wanted", ["blocks.3.*", "*.hook_patern", lambda name: False])
def test_a_pattern_that_matches_nothing_raises(wanted):
    with pytest.raises(HookError, match="must match a hook point; it matches none"):
        MODEL.names.select(wanted)


def test_an_empty_collection_raises():
    with pytest.raises(HookError, match="must name a hook point; got an empty collection"):
        MODEL.run_with_cache(images_for(THREE), names_filter=[])


def test_an_unknown_name_raises_with_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        MODEL.run_with_cache(images_for(THREE), names_filter="blocks.1.attn.hook_patern")
    assert str(error.value).startswith(
        "No hook point is named 'blocks.1.attn.hook_patern'. Nearest: blocks.1.attn.hook_pattern, "
    )
    assert str(error.value).endswith(" `model.hook_names()` lists them all.")


def test_a_name_that_this_model_has_not_is_absent_and_raises():
    _, cache = MODEL.run_with_cache(images_for(THREE))
    for key in ("hook_ln_pre", ("pattern", 3), ("scale", 0), "blocks.0.attn.hook_q_grad"):
        assert key not in cache
        assert cache.get(key) is None
    with pytest.raises(HookError, match="Run with `incl_bwd`"):
        cache["blocks.0.attn.hook_q_grad"]
    with pytest.raises(ValueError, match=r"A layer must lie in -3\.\.2; got -4"):
        cache["pattern", -4]


def test_a_tuple_of_names_is_no_shorthand_and_raises_instead_of_taking_the_first():
    for names in [
        ("hook_embed", "hook_full_embed"),
        ("blocks.0.attn.hook_z", 1),
        ("z", 1, "attn", 2),
    ]:
        with pytest.raises(
            TypeError, match=r"must be a string or a tuple such as \('pattern', 3\)"
        ):
            MODEL.run_with_cache(images_for(THREE), names_filter=names)


def test_hooks_take_every_kind_of_filter_and_shorthand():
    fired = []
    hooks = [
        (["*.hook_attn_out", ("z", -1), "hook_embed"], lambda value, hook: fired.append(hook.name))
    ]
    MODEL.run_with_hooks(images_for(THREE), fwd_hooks=hooks)
    outs = [f"blocks.{i}.hook_attn_out" for i in range(3)]
    assert sorted(fired) == sorted(["hook_embed", "blocks.2.attn.hook_z", *outs])
