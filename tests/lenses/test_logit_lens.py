"""The logit lens ends in the model's own output."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.lenses import logit_lens
from vitreous.models import HookedViT, PoolingConfig


def logits_of(model, images, **how):
    """The rows of tokens alone."""
    return logit_lens(model, images, **how)["logit"]


def by_hand(model: HookedViT, resid: torch.Tensor) -> torch.Tensor:
    """The definition: norm, gain, bias, head, one token at a time."""
    norm, head = model.ln_final, model.head.linear
    assert norm is not None and norm.w is not None and norm.b is not None and head is not None
    rows = []
    for token in resid.reshape(-1, resid.shape[-1]):
        centered = token - token.mean()
        normalized = centered / (centered.pow(2).mean() + norm.config.eps).sqrt()
        rows.append(head.weight @ (normalized * norm.w + norm.b) + head.bias)
    return torch.stack(rows).reshape(*resid.shape[:-1], -1)


@pytest.mark.parametrize("ln_pre", [False, True])
def test_every_row_is_the_norm_and_head_applied_to_that_token(ln_pre):
    model = random_model(n_registers=2) if ln_pre else random_model()
    images = random_images()
    lens = logits_of(model, images)
    _, cache = model.run_with_cache(images)
    with torch.no_grad():
        for layer, name in ((-1, ("resid_pre", 0)), (0, ("resid_post", 0)), (2, ("resid_post", 2))):
            expected = by_hand(model, cache[name])
            np.testing.assert_allclose(lens.sel(layer=layer), expected, rtol=0, atol=1e-12)


def test_the_class_token_of_the_last_layer_is_the_output():
    model, images = random_model(n_registers=1), random_images()
    lens = logits_of(model, images)
    last = lens.sel(layer=2, token="cls").values
    np.testing.assert_allclose(last, model(images).detach().numpy(), rtol=0, atol=1e-12)


def test_the_average_of_patches_is_the_output_under_mean_pooling_behind_the_norm():
    model, images = random_model(pooling=PoolingConfig("mean")), random_images()
    lens = logits_of(model, images, positions="patches").sel(layer=2).mean("token")
    np.testing.assert_allclose(lens, model(images).detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_lens_reads_a_token_as_an_image_of_that_token_alone(readout):
    model = random_model(**READOUTS[readout])
    images = images_of(model)
    n_prefix = model.layout.n_prefix
    lens = logits_of(model, images, positions="patches").sel(layer=1).values
    stream = model(images, stop_at_layer=2)[:, model.layout.n_prefix :]
    for place in range(stream.shape[1]):
        # As often as the head reads it: in place of the tokens in front, and as the only patch.
        token = stream[:, place : place + 1].expand(-1, n_prefix + 1, -1)
        with torch.no_grad():
            alone = model.head(model.read(token))
        np.testing.assert_allclose(lens[:, place], alone, rtol=0, atol=1e-11)


def test_there_is_no_middle_of_a_block_whose_parts_stand_side_by_side():
    model = random_model(parallel=True)
    with pytest.raises(ValueError, match="`at` must be 'pre' or 'post' for this model"):
        logit_lens(model, random_images(), at="mid")


def test_both_heads_of_a_distilled_model_read_their_own_token():
    model, images = random_model(distillation_token=True), random_images()
    lens = logits_of(model, images).sel(layer=2, token=["cls", "dist"]).mean("token")
    np.testing.assert_allclose(lens, model(images).detach().numpy(), rtol=0, atol=1e-12)


def test_a_given_run_is_read_instead_of_running_the_model():
    model, images = random_model(), random_images()
    _, cache = model.run_with_cache(images)
    passes = model.passes
    lens = logits_of(model, images, cache=cache)
    assert model.passes == passes
    np.testing.assert_array_equal(lens, logits_of(model, images))


def test_layers_and_positions_are_named_by_coordinates():
    lens = logits_of(random_model(), random_images(), layers=[2, 0], positions=[0, -1])
    assert lens.dims == ("image", "layer", "token", "label")
    assert lens["layer"].values.tolist() == [2, 0]
    assert lens["token"].values.tolist() == ["cls", "r2c1"]


def test_pre_of_a_layer_is_post_of_the_one_before():
    model, images = random_model(), random_images()
    pre = logits_of(model, images, at="pre").sel(layer=[1, 2]).values
    post = logits_of(model, images, at="post").sel(layer=[0, 1]).values
    np.testing.assert_array_equal(pre, post)


def test_half_precision_comes_out_as_numbers():
    model = random_model().bfloat16()
    lens = logits_of(model, random_images().bfloat16())
    assert lens.dtype == np.float32 and np.isfinite(lens).all()
