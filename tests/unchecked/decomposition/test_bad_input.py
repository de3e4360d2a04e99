"""What can't be taken apart gets one line."""

import pytest
import torch

from tests.tiny import random_images, random_model
from vitreous._errors import HookError
from vitreous.decomposition import (
    clean_up,
    direct_logit_shares,
    second_order_shares,
    shares_grid,
)
from vitreous.models import PoolingConfig

MODEL, IMAGES = random_model(), random_images()
METHODS = [direct_logit_shares, second_order_shares, clean_up]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        (7, ValueError, r"A class must lie in 0\.\.4; got 7\. Pass indices of this model's head"),
        (-1, ValueError, r"A class must lie in 0\.\.4; got -1"),
        ("cat", ValueError, "A class name needs a model with `labels`; got 'cat'"),
        (torch.ones(3), ValueError, "one entry per output, 5; got shape"),
        ([0, 1, 2], ValueError, "one per image; got 3 for 2 images"),
        (lambda x: x[:, 0] ** 2, ValueError, "need a target that is linear in the output"),
        (random_model().target(0), ValueError, "must be about the model that it is used with"),
    ],
)
def test_a_target_that_is_not_in_the_head_raises(method, target, error, says):
    with pytest.raises(error, match=says):
        method(MODEL, IMAGES, target)


@pytest.mark.parametrize("method", METHODS)
def test_unknown_ways_to_split_raise(method):
    with pytest.raises(ValueError, match=r"`by` must be '.*' or '.*'; got 'token'\. Pass one"):
        method(MODEL, IMAGES, 0, by="token")


def test_an_unknown_convention_raises():
    with pytest.raises(ValueError, match="`centering` must be 'own' or 'shared'; got 'mean'"):
        direct_logit_shares(MODEL, IMAGES, 0, centering="mean")


@pytest.mark.parametrize("method", METHODS)
def test_no_images_raise(method):
    with pytest.raises(ValueError, match="`images` must hold an image; got none"):
        method(MODEL, IMAGES[:0], 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_on_other_images_raises(method):
    cache = MODEL.run_with_cache(random_images(3))[1]
    with pytest.raises(ValueError, match="`cache` must be a run on these 2 images; got one on 3"):
        method(MODEL, IMAGES, 0, cache=cache)


@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_no_numbers_raise(method):
    images = IMAGES.clone()
    images[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="`hook_post_head_pre_normalize` must be finite; got 5 of"):
        method(MODEL, images, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_pools_nothing_has_no_shares(method):
    model = random_model(pooling=PoolingConfig("none"))
    with pytest.raises(ValueError, match="one vector per image; got pooling 'none'"):
        method(model, IMAGES, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_whose_stream_a_hook_replaced_raises(method):
    edit = [(("resid_post", 1), lambda x, hook: x + 1)]
    cache = MODEL.run_with_cache(IMAGES, fwd_hooks=edit)[1]
    with pytest.raises(HookError, match=r"replaced `blocks\.1\.hook_resid_post`"):
        method(MODEL, IMAGES, 0, cache=cache)


@pytest.mark.parametrize(
    ("changes", "got"),
    [({"d_mlp": None}, "an attention-only model"), ({"n_layers": 1}, "a model of one block")],
)
def test_without_neurons_in_front_of_heads_there_is_no_second_order(changes, got):
    with pytest.raises(ValueError, match=f"needs MLPs and heads behind them; got {got}"):
        second_order_shares(random_model(**changes), IMAGES, 0)


@pytest.mark.parametrize(("layers", "got"), [([2], "2"), ([-1], "-1"), ([], "none")])
def test_layers_without_later_heads_raise(layers, got):
    with pytest.raises(ValueError, match=rf"`layers` must lie in 0\.\.1, .*; got {got}\. Choose"):
        second_order_shares(MODEL, IMAGES, 0, layers=layers)


@pytest.mark.parametrize("kind", ["unknown", "neuron", "head_and_source", "bias_and_source"])
def test_a_grid_of_what_was_not_split_raises(kind):
    shares = direct_logit_shares(MODEL, IMAGES, 0, by="head")
    with pytest.raises(ValueError, match=f"`kind` must be one of embed, .*head.*; got '{kind}'"):
        shares_grid(shares, kind)
