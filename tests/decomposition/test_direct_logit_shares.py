"""Shares are an exact sum, for every way to read the stream."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import vitreous as vt
from tests.laws._models import assert_equal, build, images_for, law, pooled_configs
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous._errors import HookError
from vitreous.data import Images
from vitreous.decomposition import by_layer, direct_logit_shares, shares_grid
from vitreous.decomposition._direct_logit_shares import By
from vitreous.models import MapConfig, NormConfig, PoolingConfig

BY = get_args(By)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("readout", READOUTS)
def test_shares_add_up_to_the_target(readout, by):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    target = model.target(1, minus=(2, 3))
    value = target(model(images)).detach().numpy()
    for centering in ("own", "shared"):
        shares = direct_logit_shares(model, images, target, by=by, centering=centering)
        np.testing.assert_allclose(shares.sum("component"), value, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(shares["target"], value, rtol=1e-11, atol=1e-11)
        assert shares.attrs["residual"] < 1e-11


@law(pooled_configs(), st.sampled_from(["own", "shared"]), examples=36)
def test_shares_add_up_in_any_model_by_anything(cfg, centering):
    model, images = build(cfg), images_for(cfg)
    target = model.target(1, minus=0)
    value = target(model(images))
    whole = None
    for by in BY:
        shares = direct_logit_shares(model, images, target, by=by, centering=centering)
        assert_equal(torch.from_numpy(shares.sum("component").values), value, by)
        coarse = by_layer(shares)
        whole = coarse if whole is None else whole
        assert coarse["component"].equals(whole["component"]) and coarse["kind"].equals(
            whole["kind"]
        )
        assert_equal(torch.from_numpy(coarse.values), torch.from_numpy(whole.values), by)


HELD = [
    "blocks.2.hook_mlp_out",
    "ln_final.hook_scale",
    "pooling.map.hook_pattern",
    "pooling.map.hook_mlp_out",
    "pooling.map.out_norm.hook_scale",
]


@pytest.mark.parametrize("readout", READOUTS)
def test_a_share_is_what_the_target_loses_without_that_write_all_else_held(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    _, cache = model.run_with_cache(images)
    held = [name for name in HELD if name in model.hook_dict]

    def drop_head(result, hook):
        result[:, :, 2] = 0

    hooks = [(name, lambda value, hook: cache[hook.name]) for name in held]
    without = model.run_with_hooks(images, fwd_hooks=[*hooks, (("result", 2), drop_head)])
    lost = (model(images) - without)[:, 1].detach().numpy()
    share = direct_logit_shares(model, images, 1, by="head").sel(component="L2H2")
    np.testing.assert_allclose(share, lost, rtol=1e-10, atol=1e-10)


def test_heads_and_their_bias_refine_the_layers():
    model, images = random_model(), random_images()
    attention = shares_grid(direct_logit_shares(model, images, 0), "attn")
    by_head = direct_logit_shares(model, images, 0, by="head")
    heads = shares_grid(by_head).sum("head") + shares_grid(by_head, "attn_bias")
    np.testing.assert_allclose(heads, attention, rtol=0, atol=1e-12)


def test_the_grid_holds_each_head_at_its_place():
    model, images = random_model(), random_images()
    shares = direct_logit_shares(model, images, 0, by="head")
    grid = shares_grid(shares)
    assert grid.dims == ("image", "layer", "head") and grid.shape == (2, 3, 4)
    np.testing.assert_array_equal(grid.sel(layer=1, head=3), shares.sel(component="L1H3"))


def test_an_edited_head_is_read_as_it_was_edited():
    model, images = random_model(), random_images()

    def silence(result, hook):
        result[:, :, 1] = 0

    _, cache = model.run_with_cache(images, fwd_hooks=[(("result", 2), silence)])
    shares = direct_logit_shares(model, images, 0, by="head", cache=cache)
    assert (shares.sel(component="L2H1") == 0).all()
    assert shares.attrs["residual"] < 1e-11


def test_shares_of_one_target_per_image_add_up():
    model, images = random_model(), random_images()
    shares = direct_logit_shares(model, images, [4, 0])
    expected = model(images)[torch.arange(2), torch.tensor([4, 0])].detach().numpy()
    np.testing.assert_allclose(shares.sum("component"), expected, rtol=0, atol=1e-12)


def test_a_table_of_shares_can_be_saved(tmp_path):
    shares = direct_logit_shares(random_model(), random_images(), 0, by="head")
    back = shares.to_dataframe().reset_index()
    assert set(back.columns) >= {"image", "component", "kind", "layer", "head", "source", "neuron"}


# ---- by source token


@pytest.mark.parametrize("readout", READOUTS)
def test_sources_of_a_head_add_up_to_the_head(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    by_head = direct_logit_shares(model, images, 1, by="head")
    by_source = direct_logit_shares(model, images, 1, by="head_and_source")
    for kind in dict.fromkeys(k for k in by_head["kind"].values if k.startswith("head")):
        heads = shares_grid(by_head, kind)
        np.testing.assert_allclose(shares_grid(by_source, kind), heads, rtol=1e-11, atol=1e-11)
    same = [label for label in by_head["component"].values if "H" not in label and "T" not in label]
    np.testing.assert_array_equal(by_source.sel(component=same), by_head.sel(component=same))


@pytest.mark.parametrize("readout", READOUTS)
def test_a_share_by_source_is_what_the_target_loses_without_that_value_all_else_held(readout):
    model = random_model(**READOUTS[readout])
    images, head, token = images_of(model), 2, 4
    _, cache = model.run_with_cache(images)
    norms = [f"blocks.2.attn.{norm}.hook_scale" for norm in ("z_norm", "out_norm")]
    held = [name for name in (*HELD, *norms) if name in model.hook_dict]

    def drop_value(v, hook):
        v[:, token, head] = 0

    hooks = [(name, lambda value, hook: cache[hook.name]) for name in held]
    hooks += [(("pattern", 2), lambda value, hook: cache[hook.name])]
    without = model.run_with_hooks(images, fwd_hooks=[*hooks, (("v", 2), drop_value)])
    lost = (model(images) - without)[:, 1].detach().numpy()
    shares = direct_logit_shares(model, images, 1, by="head_and_source")
    label = f"L2H{head}@{cache.layout.names()[token]}"
    np.testing.assert_allclose(shares.sel(component=label), lost, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", ["head", "head_and_source"])
def test_what_two_images_differ_in_has_a_grid_too(kind):
    model = random_model()
    one, other = (
        direct_logit_shares(model, images_of(model, seed=seed), 0, by="head_and_source")
        for seed in (1, 2)
    )
    grid = shares_grid((one - other).assign_attrs(one.attrs), kind)
    assert "target" not in grid.coords
    expected = shares_grid(one, kind).values - shares_grid(other, kind).values
    np.testing.assert_allclose(grid.values, expected, atol=1e-12)
    assert by_layer(one - other).sizes["component"] == by_layer(one).sizes["component"]


def test_the_grid_by_source_holds_each_patch_at_its_place():
    model, images = random_model(n_registers=1), random_images()
    shares = direct_logit_shares(model, images, 0, by="head_and_source")
    grid = shares_grid(shares, "head_and_source")
    assert grid.dims == ("image", "layer", "head", "row", "column")
    assert grid.shape == (2, 3, 4, 3, 2)
    one = shares.sel(component="L1H3@r2c0")
    np.testing.assert_array_equal(grid.sel(layer=1, head=3, row=2, column=0), one)
    assert one["source"] == model.layout.index(2, 0) and one["head"] == 3 and one["layer"] == 1


def test_the_grid_by_source_of_clips_has_frames():
    model = random_model(**READOUTS["clips, attention over time and over space"])
    shares = direct_logit_shares(model, images_of(model), 0, by="head_and_source")
    grid = shares_grid(shares, "head_time_and_source")
    assert grid.dims == ("image", "layer", "head", "frame", "row", "column")
    one = shares.sel(component="L2T1@f2r0c1")
    np.testing.assert_array_equal(grid.sel(layer=2, head=1, frame=2, row=0, column=1), one)


@pytest.mark.parametrize("point", ["z", "result"])
def test_heads_that_a_hook_replaced_have_no_sources(point):
    model, images = random_model(), random_images()
    _, cache = model.run_with_cache(images, fwd_hooks=[((point, 1), lambda x, hook: x + 1)])
    assert direct_logit_shares(model, images, 0, by="head", cache=cache).attrs["residual"] < 1e-11
    with pytest.raises(HookError, match=rf"write what they attend to; .*`blocks\.1.*hook_{point}`"):
        direct_logit_shares(model, images, 0, by="head_and_source", cache=cache)


def test_an_edited_pattern_is_the_one_that_moves():
    model, images = random_model(), random_images()

    def only_itself(pattern, hook):
        pattern.zero_().diagonal(dim1=2, dim2=3).fill_(1)

    _, cache = model.run_with_cache(images, fwd_hooks=[(("pattern", 2), only_itself)])
    shares = direct_logit_shares(model, images, 0, by="head_and_source", cache=cache)
    assert shares.attrs["residual"] < 1e-11
    assert (shares_grid(shares, "head_and_source").sel(layer=2) == 0).all()


# ---- by neuron


@pytest.mark.parametrize("readout", [r for r in READOUTS if READOUTS[r].get("d_mlp", 1)])
def test_a_neurons_share_is_what_the_target_loses_without_it_all_else_held(readout):
    model = random_model(**READOUTS[readout])
    images, neuron = images_of(model), 5
    _, cache = model.run_with_cache(images)
    names = [*HELD[1:], "blocks.2.mlp.out_norm.hook_scale"]
    held = [name for name in names if name in model.hook_dict]

    def drop_neuron(post, hook):
        post[:, :, neuron] = 0

    hooks = [(name, lambda value, hook: cache[hook.name]) for name in held]
    without = model.run_with_hooks(images, fwd_hooks=[*hooks, (("post", 2), drop_neuron)])
    lost = (model(images) - without)[:, 1].detach().numpy()
    shares = direct_logit_shares(model, images, 1, by="neuron")
    np.testing.assert_allclose(shares.sel(component="L2N5"), lost, rtol=1e-9, atol=1e-10)
    grid = shares_grid(shares, "neuron")
    np.testing.assert_array_equal(grid.sel(layer=2, neuron=neuron), shares.sel(component="L2N5"))


def test_an_mlp_that_a_hook_replaced_has_no_neurons():
    model, images = random_model(), random_images()
    _, cache = model.run_with_cache(images, fwd_hooks=[(("mlp_out", 1), lambda x, hook: x + 1)])
    assert direct_logit_shares(model, images, 0, cache=cache).attrs["residual"] < 1e-11
    with pytest.raises(HookError, match=r"replaced `blocks\.1\.hook_mlp_out`"):
        direct_logit_shares(model, images, 0, by="neuron", cache=cache)


# ---- the MLP of a pooling by attention


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_mlp_of_a_pooling_is_a_component_of_its_own(norm_first):
    parts = MapConfig(2, 8, 16, d_mlp=12, norm=NormConfig())
    pooling = PoolingConfig("map", NormConfig(), norm_first=norm_first, map=parts)
    model, images = random_model(cls_token=False, pooling=pooling), random_images()
    _, cache = model.run_with_cache(images)
    hooks = [("pooling.map.hook_mlp_out", lambda x, hook: 0 * x)]
    hooks += [("ln_final.hook_scale", lambda x, hook: cache[hook.name])]
    lost = (model(images) - model.run_with_hooks(images, fwd_hooks=hooks))[:, 1].detach().numpy()
    shares = direct_logit_shares(model, images, 1)
    own = shares.sel(component="pooling_mlp")
    np.testing.assert_allclose(own, lost, rtol=1e-10, atol=1e-11)
    assert own["kind"] == "pooling_mlp" and own["layer"] == -1


# ---- the two conventions of centering


def test_shared_centering_divides_the_mean_and_the_bias_evenly():
    """Written from the definition, for a class token: mean and bias over the number of parts."""
    model, images = random_model(), random_images()
    cache = model.run_with_cache(images)[1]
    norm, n_parts = model.ln_final, 1 + 2 * 3
    direction, scale = model.W_U[:, 1], cache["ln_final.hook_scale"][:, 0]
    mean = cache["resid_post", -1][:, 0].mean(-1, keepdim=True)

    def share(write, part):
        evenly = (mean / scale * norm.w - norm.b) / n_parts * part
        return ((write / scale * norm.w - evenly) @ direction).detach().numpy()

    found = direct_logit_shares(model, images, 1, by="head", centering="shared")
    mlp, head = cache["mlp_out", 1][:, 0], cache["result", 2][:, 0, 3]
    np.testing.assert_allclose(found.sel(component="L1M"), share(mlp, 1), rtol=1e-10)
    np.testing.assert_allclose(found.sel(component="L2H3"), share(head, 1 / 4), rtol=1e-10)
    embed = cache["hook_embed"][:, 0]
    np.testing.assert_allclose(found.sel(component="embed"), share(embed, 1 / 2), rtol=1e-10)


def test_a_write_to_all_dimensions_alike_says_nothing_by_its_own_centering_alone():
    model, images = random_model(), random_images()
    with torch.no_grad():
        model.blocks[1].mlp.fc_out.weight.zero_()
        model.blocks[1].mlp.fc_out.bias.fill_(3.0)
    own = direct_logit_shares(model, images, 1).sel(component="L1M")
    shared = direct_logit_shares(model, images, 1, centering="shared").sel(component="L1M")
    np.testing.assert_allclose(own, 0, atol=1e-12)
    assert (abs(shared) > 0.01).all()


@pytest.mark.parametrize("norm", [NormConfig("rms"), None])
def test_without_centering_the_conventions_agree(norm):
    """A norm that doesn't center has no bias either."""
    model, images = random_model(pooling=PoolingConfig("cls", norm)), random_images()
    own, shared = (
        direct_logit_shares(model, images, 1, by="head", centering=centering)
        for centering in ("own", "shared")
    )
    np.testing.assert_allclose(own, shared, rtol=0, atol=1e-12)


# ---- what can be passed


def test_a_data_set_is_streamed_with_one_target_each():
    model, images = random_model(), random_images(5)
    targets = [4, 3, 2, 1, 0]
    for by in BY:
        whole = direct_logit_shares(
            model, images, targets, by=by, cache=model.run_with_cache(images)[1]
        )
        some = Images.from_tensor(images, batch_size=2)
        streamed = direct_logit_shares(model, some, targets, by=by)
        np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-12)
        assert streamed["component"].equals(whole["component"])
        np.testing.assert_allclose(streamed["target"], whole["target"], rtol=0, atol=1e-12)


def test_one_image_of_one_patch_will_do():
    model = random_model(image_size=(4, 4))
    shares = direct_logit_shares(model, torch.randn(1, 3, 4, 4).double(), 0, by="head_and_source")
    assert shares_grid(shares, "head_and_source").shape == (1, 3, 4, 1, 1)
    assert shares.attrs["residual"] < 1e-11


def test_half_precision_adds_up_to_its_rounding():
    model = random_model().bfloat16()
    for by in BY:
        shares = direct_logit_shares(model, random_images(), 0, by=by)
        assert shares.dtype == np.float32
        assert shares.attrs["residual"] < 0.1 * float(abs(shares).sum("component").max())


def test_images_of_another_size_have_their_own_grid():
    model = random_model(position=None)
    shares = direct_logit_shares(model, random_images(size=(16, 12)), 0, by="head_and_source")
    assert shares_grid(shares, "head_and_source").sizes["row"] == 4


def test_the_other_name_is_the_same_function():
    assert vt.direct_logit_attribution is vt.direct_logit_shares


def test_coarse_rows_of_coarse_shares_are_themselves():
    shares = direct_logit_shares(random_model(), random_images(), 0)
    assert by_layer(shares).equals(shares)
