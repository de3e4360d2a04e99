"""What a sweep says of input that it can't use."""

import numpy as np
import pandas
import pytest
import torch
import xarray

from tests.tiny import images_of, random_model
from vitreous import patching
from vitreous.hooks import Ablate, Means
from vitreous.models import HookedViT
from vitreous.patching import generic_activation_patch, summarize, sweep


@pytest.fixture
def model():
    return random_model(n_layers=2)


@pytest.fixture
def halves(model):
    return images_of(model, 2, seed=1), images_of(model, 2, seed=9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"over": "head"}, r"`over` must be one of 'heads'.* got 'head'"),
        ({"direction": "both"}, "`direction` must be one of 'denoise', 'noise'; got 'both'"),
        ({"intervention": "median"}, "`corrupt` must be None for an ablation"),
        ({"layers": [5]}, r"`layers` must name some in 0\.\.1; got \[5\]"),
        ({"layers": []}, "`layers` must name some"),
        ({"positions": []}, "must select a token"),
        ({"max_batch": 0}, "`max_batch` must be 1 or more; got 0"),
    ],
)
def test_a_word_that_means_nothing_is_refused(model, halves, changed, message):
    with pytest.raises(ValueError, match=message):
        sweep(model, *halves, 0, **changed)


def test_an_unknown_ablation_is_refused(model, halves):
    with pytest.raises(ValueError, match=r"`intervention` must be one of .*; got 'median'"):
        sweep(model, halves[0], None, 0, intervention="median")


def test_halves_of_different_shape_are_refused(model, halves):
    with pytest.raises(ValueError, match="must have one shape"):
        sweep(model, halves[0], halves[1][:, :, :8], 0)


def test_a_pair_on_which_nothing_differs_is_named_with_both_values(model, halves):
    with pytest.raises(ValueError, match=r"got (-?[\d.e-]+) and \1 on pair 1"):
        sweep(model, halves[0], torch.stack([halves[1][0], halves[0][1]]), 0)


def test_a_metric_that_gives_a_vector_or_nan_is_refused(model, halves):
    with pytest.raises(ValueError, match="one number per image"):
        sweep(model, *halves, lambda logits: logits)
    with pytest.raises(ValueError, match="must be finite"):
        sweep(model, *halves, lambda logits: logits[:, 0] * torch.nan)


def test_patching_needs_the_other_image_and_no_cache(model, halves):
    with pytest.raises(ValueError, match="`corrupt` must hold the other image"):
        sweep(model, halves[0], None, 0)
    with pytest.raises(ValueError, match="`cache` must be None for intervention 'patch'"):
        sweep(model, *halves, 0, cache=model.run_with_cache(halves[0])[1])


def test_a_single_image_has_nobody_to_draw_from(model, halves):
    with pytest.raises(ValueError, match="must give images to draw from"):
        sweep(model, halves[0][:1], None, 0, intervention="resample")


def test_means_are_no_images_to_draw_from(model, halves):
    given = {"intervention": "resample", "reference": object.__new__(Means)}
    with pytest.raises(TypeError, match="must be images for intervention 'resample'; got Means"):
        sweep(model, halves[0], None, 0, **given)


def test_an_intervention_elsewhere_is_refused(model, halves):
    with pytest.raises(ValueError, match="must act on the site that it is given"):
        sweep(model, halves[0], None, 0, intervention=lambda name: Ablate("L1M", "zero"))


def test_attention_alone_has_no_mlps():
    model = random_model(n_layers=2, d_mlp=None)
    with pytest.raises(ValueError, match="needs MLPs; got an attention-only model"):
        sweep(model, images_of(model, 1), images_of(model, 1, seed=9), 0, over="mlps")


def test_too_little_memory_names_a_batch_that_is_smaller(model, halves, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(HookedViT, "restart", full)
    with pytest.raises(MemoryError, match=r"got 8 images at once.*Use `max_batch=4`"):
        sweep(model, *halves, 0)


def test_a_folder_that_is_not_there_is_told(model, halves, tmp_path):
    with pytest.raises(OSError, match="must be writable"):
        sweep(model, *halves, 0, path=tmp_path / "nowhere" / "sweep")


def test_a_summary_needs_the_dimension(model):
    data = xarray.Dataset({"effect": ("pair", np.ones(3))})
    with pytest.raises(ValueError, match="must be a dimension of the dataset; got 'image'"):
        summarize(data, "image")
    with pytest.raises(ValueError, match="must lie between 0 and 1; got 95"):
        summarize(data, confidence=95)
    with pytest.raises(ValueError, match="`resamples` must be 1 or more"):
        summarize(data, resamples=0)


def test_a_generic_patch_says_what_it_needs(model, halves):
    cache = model.run_with_cache(halves[0])[1]
    setter = patching.layer_head_vector_patch_setter

    def run(metric=lambda logits: logits[0, 0], **how):
        return generic_activation_patch(model, halves[1], cache, metric, setter, "z", **how)

    with pytest.raises(ValueError, match="must say what to go through; got none"):
        run()
    with pytest.raises(ValueError, match=r"must be of layer, pos.*the layer first"):
        run(index_axis_names=("head", "layer"))
    with pytest.raises(ValueError, match=r"must be a layer in 0\.\.1; got 7"):
        run(index_df=pandas.DataFrame({"layer": [7], "head": [0]}))
    with pytest.raises(ValueError, match="one number for the whole batch"):
        run(lambda logits: logits[:, 0], index_axis_names=("layer", "head"))


def test_a_restart_says_where_it_can(model, halves):
    cache = model.run_with_cache(halves[0])[1]
    with pytest.raises(ValueError, match=r"must restart in a block.*got `hook_embed`"):
        model.restart(cache, "hook_embed", cache["hook_embed"])
    with pytest.raises(ValueError, match=r"Values for `blocks\.1\.attn\.hook_z` must be"):
        model.restart(cache, ("z", 1), cache["z", 1][:, :3])
    with pytest.raises(ValueError, match="or several of these one after the other"):
        model.restart(cache, ("z", 1), cache["z", 1].repeat(2, 1, 1, 1)[:3])


def test_a_restart_needs_a_run_of_these_weights(model, halves):
    cache = model.run_with_cache(halves[0])[1]
    other = random_model(seed=1, n_layers=2)
    with pytest.raises(RuntimeError, match="got a cache of another model"):
        other.restart(cache, ("z", 1), cache["z", 1])
    with torch.no_grad():
        model.head.linear.bias.add_(1)
    with pytest.raises(RuntimeError, match="they have changed since"):
        model.restart(cache, ("z", 1), cache["z", 1])


def test_a_restart_needs_what_lies_in_front(model, halves):
    cache = model.run_with_cache(halves[0], names_filter=["blocks.1.attn.hook_z"])[1]
    with pytest.raises(RuntimeError, match="hook_resid_pre` must be stored or derive"):
        model.restart(cache, ("z", 1), cache["z", 1])
