"""What `docs/coming_from.md` tells users of TransformerLens and Prisma about Vitreous."""

import pytest
import torch

import vitreous as vt
from vitreous.models import fold_layer_norm

WEIGHTS = "W_Q W_K W_V W_O W_in W_out W_E W_pos W_U b_Q b_K b_V b_O b_in b_out b_E b_U".split()


@pytest.fixture(scope="module")
def model():
    return vt.load("digits")


@pytest.fixture(scope="module")
def x(model):
    return model.preprocess(vt.data.sample("digit"))


@pytest.fixture
def run(model, x):
    return model.run_with_cache(x)


@pytest.fixture
def cache(run):
    return run[1]


@pytest.fixture
def target(model):
    return model.target("seven", minus="nine")


def nothing(value, hook):
    pass


def zero_in_place(value, hook):
    value.zero_()


def close(a, b):
    return torch.allclose(a, b, atol=1e-5)


def test_from_pretrained_is_load(model, x):
    assert torch.equal(vt.HookedViT.from_pretrained("digits")(x), model(x))


def test_nothing_is_processed_by_default_and_processing_leaves_a_note(model, x):
    folded = fold_layer_norm(model)
    assert close(folded(x), model(x))
    assert folded.card["processing"] == ["fold_layer_norm"]
    assert "processing" not in model.card


def test_the_config_has_these_names(model):
    cfg = model.cfg
    assert (cfg.norm.kind, cfg.norm.eps, cfg.act_name) == ("layer", 1e-6, "gelu")
    assert (cfg.cls_token, cfg.pooling.kind, cfg.ln_pre) == (True, "cls", None)
    assert model.layout.n_tokens == 65 and model.layout.select("cls") == [0]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_keep_their_names(model, name):
    assert isinstance(getattr(model, name), torch.Tensor)


def test_the_view_of_a_block_writes_to_the_model(x):
    model = vt.load("digits")
    before = model(x)
    with torch.no_grad():
        model.blocks[0].attn.W_Q.mul_(2)
    assert not close(model(x), before)


def test_a_stack_is_for_reading():
    model = vt.load("digits")
    with pytest.raises(RuntimeError, match="copy for reading"):
        model.W_Q.zero_()


def test_products_of_weights_are_factored(model):
    assert isinstance(model.QK, vt.FactoredMatrix) and isinstance(model.OV, vt.FactoredMatrix)
    U, S, V = model.OV.svd()
    assert close(U * S[..., None, :] @ V.mT, model.OV.AB)


def test_a_direction_includes_gain_and_centering(model, target):
    assert close(model.tokens_to_residual_directions(7), model.W_U[:, 7])
    weighted = model.ln_final.w * (model.W_U[:, 7] - model.W_U[:, 9])
    assert close(target.direction, weighted - weighted.mean())


@pytest.mark.parametrize("name", ["W_H", "add_perma_hook", "set_use_attn_result"])
def test_these_names_are_absent(model, name):
    assert not hasattr(model, name)


@pytest.mark.parametrize("keyword", ["pos_slice", "reset_hooks_end", "clear_contexts"])
def test_keywords_that_are_absent_raise(model, x, keyword):
    with pytest.raises(TypeError, match=keyword):
        model.run_with_cache(x, **{keyword: None})


def test_a_pass_stops_where_nobody_watches_any_more(model, x):
    nothing_more, cache = model.run_with_cache(x, names_filter=("resid_post", 1), return_type=None)
    assert nothing_more is None and list(cache) == ["blocks.1.hook_resid_post"]


def test_a_metric_gives_gradients_and_parameters_get_none(model, x, target):
    _, cache = model.run_with_cache(x, names_filter="*.hook_z", incl_bwd=target)
    assert cache["blocks.2.attn.hook_z_grad"].shape == cache["z", 2].shape
    assert all(parameter.grad is None for parameter in model.parameters())


def test_permanent_hooks_outlive_a_reset(model):
    [hook] = model.add_hook("hook_embed", nothing, is_permanent=True)
    model.reset_hooks()
    assert model.hook_dict["hook_embed"].fwd_hooks == [hook]
    hook.remove()


@pytest.mark.parametrize("name", ["result", "attn_in", "q_input", "k_input", "v_input", "mlp_in"])
def test_points_on_demand_need_no_flag(model, x, name):
    seen = []
    full_name = vt.models.get_act_name(name, 2)
    model.run_with_hooks(x, fwd_hooks=[(full_name, lambda value, hook: seen.append(hook.name))])
    assert seen == [full_name]


def test_run_with_hooks_takes_the_keywords_of_forward(model, x, cache):
    early = model.run_with_hooks(x, fwd_hooks=[("hook_embed", nothing)], stop_at_layer=-1)
    assert close(early, cache["resid_pre", 3])


def test_shorthands_reach_the_points(cache):
    assert cache["attn", -1] is cache["blocks.3.attn.hook_pattern"]
    assert cache["k2"] is cache["blocks.2.attn.hook_k"]
    assert cache["scale", 2, "ln1"] is cache["blocks.2.ln1.hook_scale"]


def test_stacks_keep_their_labels(cache):
    labels = {
        method: getattr(cache, method)(return_labels=True)[1]
        for method in ("accumulated_resid", "decompose_resid", "stack_head_results")
    }
    assert labels["accumulated_resid"] == ["0_pre", "1_pre", "2_pre", "3_pre", "final_post"]
    assert labels["decompose_resid"][:4] == ["embed", "pos_embed", "0_attn_out", "0_mlp_out"]
    assert labels["stack_head_results"][5] == "L1H1"


@pytest.mark.parametrize("name", ["compute_head_results", "toggle_autodiff"])
def test_these_methods_of_the_cache_are_absent(cache, name):
    assert not hasattr(cache, name)


def test_values_are_detached_unless_asked_otherwise(model, x, cache):
    assert not cache["resid_post", 0].requires_grad
    assert model.run_with_cache(x, detach=False)[1]["resid_post", 0].requires_grad


def test_the_token_dimension_stays(cache):
    assert cache.decompose_resid(positions="cls").shape[2] == 1
    assert cache.decompose_resid(positions=(4, 2)).shape[2] == 1


def test_a_glob_without_a_match_raises(model, x):
    with pytest.raises(RuntimeError, match="matches none"):
        model.run_with_cache(x, names_filter="blocks.9.*")


def test_a_hook_on_a_layer_that_does_not_run_raises(model, x):
    hooks = [("blocks.3.hook_mlp_out", nothing)]
    with pytest.raises(RuntimeError, match="lies outside"):
        model.run_with_hooks(x, fwd_hooks=hooks, stop_at_layer=2)
    with pytest.raises(RuntimeError, match="never did"), model.hooks(hooks):
        model(x, stop_at_layer=2)


@pytest.mark.parametrize(
    "name", ["hook_full_embed", "hook_ln_final", "hook_post_head_pre_normalize"]
)
def test_edits_count_at_the_ends_of_the_model_too(model, x, run, name):
    logits, cache = run
    before = {point: value.clone() for point, value in cache.items()}
    assert not close(model.run_with_hooks(x, fwd_hooks=[(name, zero_in_place)]), logits)
    assert all(torch.equal(value, before[point]) for point, value in cache.items())


def test_every_token_has_an_embedding(cache):
    assert cache["hook_embed"].shape[1] == 65
    assert torch.equal(cache["hook_embed"] + cache["hook_pos_embed"], cache["hook_full_embed"])


def test_a_replaced_stream_has_no_decomposition_but_with_a_remainder(model, x):
    with model.hooks([("hook_full_embed", zero_in_place)]):
        _, cache = model.run_with_cache(x)
    with pytest.raises(RuntimeError, match="add up"):
        cache.decompose_resid()
    rows = cache.decompose_resid(incl_remainder=True)
    assert close(rows.sum(0), cache["resid_post", -1])


def test_apply_ln_leaves_out_the_bias_alone(model, cache):
    rows = cache.decompose_resid(incl_bias=True, apply_ln=True)
    assert close(rows.sum(0) + model.ln_final.b, cache["ln_final.hook_normalized"])


def test_accumulated_streams_get_the_whole_norm_at_their_own_scale(model, cache):
    stack = cache.accumulated_resid(apply_ln=True)
    assert close(stack[1], model.ln_final.fused(cache["resid_pre", 1]))
    assert close(stack[-1], cache["ln_final.hook_normalized"])


def test_logit_attrs_add_up_to_the_target_less_its_constant(run, target):
    logits, cache = run
    attrs = cache.logit_attrs(cache.decompose_resid(incl_bias=True), target)
    assert attrs.shape == (11, 1, 65) and not attrs[..., 1:].any()
    assert close(attrs.sum() + target.readout(cache).constant, target(logits))


def test_backward_hooks_belong_to_the_graph_of_their_call():
    model = vt.load("digits")
    x, seen = model.preprocess(vt.data.sample("digit")), []
    hooks = [("hook_embed", lambda gradient, hook: seen.append(hook.name))]
    output = model.run_with_hooks(x, bwd_hooks=hooks)
    model(x).sum().backward()
    assert not seen
    output.sum().backward()
    assert seen == ["hook_embed"]


def test_a_class_name_means_one_class():
    names = vt.data.ClassNames(("tiger cat", "bullfrog, Rana catesbeiana"))
    assert names.find("cat") == 0
    with pytest.raises(KeyError, match="must name one class"):
        vt.data.ClassNames(("tiger cat", "tabby cat")).find("cat")
