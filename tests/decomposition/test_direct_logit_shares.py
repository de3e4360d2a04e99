"""Shares are an exact sum, for every way to read the stream."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.decomposition import direct_logit_shares, shares_grid


@pytest.mark.parametrize("by", ["layer", "head"])
@pytest.mark.parametrize("readout", READOUTS)
def test_shares_add_up_to_the_target(readout, by):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    target = model.target(1, minus=(2, 3))
    shares = direct_logit_shares(model, images, target, by=by)
    value = target(model(images)).detach().numpy()
    np.testing.assert_allclose(shares.sum("component"), value, rtol=1e-11, atol=1e-11)
    assert shares.attrs["residual"] < 1e-11


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
