"""A sweep is the naive loop of hooked passes, only faster."""

import itertools

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.hooks import Ablate, Edit, Site, Steer
from vitreous.models import GlassTransformer
from vitreous.patching import sweep
from vitreous.training import means

# Of each `over`: the point, and what is gone through behind the layer.
SITES = {
    "heads": ("attn.hook_z", ("head",)),
    "layers": ("hook_resid_pre", ()),
    "mlps": ("hook_mlp_out", ()),
    "positions": ("hook_resid_pre", ("token",)),
    "heads_and_positions": ("attn.hook_z", ("head", "token")),
    "q": ("attn.hook_q", ("head",)),
    "k": ("attn.hook_k", ("head",)),
    "v": ("attn.hook_v", ("head",)),
    "pattern": ("attn.hook_pattern", ("head",)),
    "neurons": ("mlp.hook_post", ("neuron",)),
}
SMALL = {"n_layers": 2, "n_heads": 2, "d_mlp": 5, "image_size": (8, 4)}


def small_model(readout: str = "class token", **changes) -> GlassTransformer:
    return random_model(**(SMALL | READOUTS[readout] | changes))


def halves(model, count: int = 3):
    return images_of(model, count, seed=1), images_of(model, count, seed=9)


def sizes_of(model) -> dict[str, int]:
    n_tokens = model.layout.n_tokens
    return {"head": model.cfg.n_heads, "token": n_tokens, "neuron": model.cfg.d_mlp}


def write(x, values, dims, index):
    """One value into a tensor, by what its dimensions count."""
    at = dict(zip(dims, index, strict=True))
    if x.ndim == 4 and x.shape[2] == x.shape[3] and "head" in at and x.shape[1] == SMALL["n_heads"]:
        x[:, at["head"]] = values[:, at["head"]]  # a pattern
    elif "head" in at:
        x[:, at.get("token", slice(None)), at["head"]] = values[
            :, at.get("token", slice(None)), at["head"]
        ]
    else:
        where = (slice(None), at.get("token", slice(None)), at.get("neuron", slice(None)))
        x[where] = values[where]
    return x


def one_by_one(model, target, over, baseline, other) -> np.ndarray:
    """A whole hooked pass for each patch."""
    point, dims = SITES[over]
    ranges = [range(sizes_of(model)[dim]) for dim in dims]
    shape = (len(baseline), model.cfg.n_layers, *map(len, ranges))
    found = np.zeros(shape)
    with torch.no_grad():
        before = target(model(baseline))
        for layer in range(model.cfg.n_layers):
            name = f"blocks.{layer}.{point}"
            values = model.run_with_cache(other, names_filter=name)[1][name]
            for index in itertools.product(*ranges):
                put = lambda x, hook, v=values, i=index: write(x, v, dims, i)  # noqa: E731
                logits = model.run_with_hooks(baseline, fwd_hooks=[(name, put)])
                found[(slice(None), layer, *index)] = (target(logits) - before).numpy()
    return found


def kinds_of(model) -> list[str]:
    without = ("mlps", "neurons") if model.cfg.attn_only else ()
    return [over for over in SITES if over not in without]


@pytest.mark.parametrize("readout", READOUTS)
def test_a_sweep_equals_one_hooked_pass_per_patch(readout):
    model = small_model(readout)
    clean, corrupt = halves(model, 2)
    target = model.target(0, minus=1)
    for over, direction in itertools.product(kinds_of(model), ("denoise", "noise")):
        swept = sweep(model, clean, corrupt, target, over=over, direction=direction, max_batch=9)
        runs = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
        expected = one_by_one(model, target, over, *runs)
        assert swept["effect"].dims == ("pair", "layer", *SITES[over][1])
        np.testing.assert_allclose(
            swept["effect"], expected, rtol=0, atol=1e-10, err_msg=f"{over} {direction}"
        )


def own_of_each_pair(x, hook):
    """A user's edit that holds one value per pair."""
    del hook
    return x * torch.tensor([0.5, 1.5, -1.0]).to(x).view(3, *[1] * (x.ndim - 1))


@pytest.mark.parametrize("readout", ["class token", "mean behind the norm", "attention pooling"])
@pytest.mark.parametrize("point", ["blocks.0.attn.hook_z", "blocks.1.hook_mlp_out"])
def test_a_sweep_runs_under_the_hooks_that_are_there(readout, point):
    model = small_model(readout)
    clean, corrupt = halves(model)
    target = model.target(0)
    with model.hooks([(point, own_of_each_pair)]):
        for over in SITES:
            swept = sweep(model, clean, corrupt, target, over=over)["effect"]
            expected = one_by_one(model, target, over, corrupt, clean)
            np.testing.assert_allclose(swept, expected, rtol=0, atol=1e-10, err_msg=over)


@pytest.mark.parametrize("over", SITES)
def test_the_size_of_a_batch_changes_nothing(over):
    model = small_model("distillation")
    clean, corrupt = halves(model)
    each = [sweep(model, clean, corrupt, 0, over=over, max_batch=n)["effect"] for n in (1, 5, 64)]
    np.testing.assert_allclose(each[0], each[2], rtol=0, atol=1e-12)
    np.testing.assert_allclose(each[1], each[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("direction", "whole"), [("denoise", 1.0), ("noise", 0.0)])
def test_patching_everything_is_the_other_run(readout, direction, whole):
    model = small_model(readout)
    found = sweep(model, *halves(model), 0, over="layers", direction=direction)
    np.testing.assert_allclose(found["normalized"], whole, rtol=0, atol=1e-9)


def test_patching_what_is_the_same_changes_nothing():
    model = small_model()
    clean, corrupt = halves(model)
    corrupt[1:] = clean[1:]
    corrupt[1:, :, :4, :4] += 1  # the first patch alone
    found = sweep(model, clean, corrupt, 0, over="positions", layers=[0])["effect"]
    assert np.abs(found.sel(layer=0, token=[0, 2])[1:]).max() < 1e-12
    assert np.abs(found.sel(layer=0, token=1)[1:]).min() > 1e-6


def test_effects_are_on_the_scale_of_each_pair():
    model = small_model()
    clean, corrupt = halves(model)
    found = sweep(model, clean, corrupt, model.target(0, minus=1))
    base, whole = found["corrupt"], found["clean"] - found["corrupt"]
    np.testing.assert_allclose(found["normalized"], found["effect"] / whole)
    np.testing.assert_allclose(base, model.target(0, minus=1)(model(corrupt)).detach())
    assert found.attrs["direction"] == "denoise"
    assert found.attrs["reference"] == "the clean run"
    assert found.attrs["unit"] == "logit"


def test_one_target_per_pair_stays_with_its_pair():
    model = small_model()
    clean, corrupt = halves(model)
    together = sweep(model, clean, corrupt, [0, 1, 2], max_batch=2)["effect"]
    for i in range(3):
        alone = sweep(model, clean[[i]], corrupt[[i]], i)["effect"]
        np.testing.assert_allclose(together[[i]], alone, rtol=0, atol=1e-12)


def test_positions_choose_where_values_are_replaced():
    model = small_model()
    clean, corrupt = halves(model)
    by_token = sweep(model, clean, corrupt, 0, over="heads_and_positions")["effect"]
    at_cls = sweep(model, clean, corrupt, 0, over="heads", positions="cls")["effect"]
    np.testing.assert_allclose(at_cls, by_token.sel(token=0), rtol=0, atol=1e-12)
    some = sweep(model, clean, corrupt, 0, over="heads_and_positions", positions=[2, 0], layers=[1])
    np.testing.assert_allclose(
        some["effect"], by_token.sel(token=[2, 0], layer=[1]), rtol=0, atol=1e-12
    )


def ablated(model, images, target, make) -> np.ndarray:
    """A whole pass per head under an intervention on that head."""
    shape = (len(images), model.cfg.n_layers, model.cfg.n_heads)
    found = np.zeros(shape)
    for layer, head in np.ndindex(*shape[1:]):
        with torch.no_grad(), model.intervene(make(Site(f"blocks.{layer}.attn.hook_z", head=head))):
            found[:, layer, head] = target(model(images)).numpy()
    return found - target(model(images)).detach().numpy()[:, None, None]


def test_ablations_are_interventions_on_each_part_alone():
    model = small_model()
    images, _ = halves(model)
    target, added = model.target(0), torch.linspace(-1, 1, 8, dtype=torch.float64)
    reference = means(model, images_of(model, 5, seed=4), "blocks.*.attn.hook_z")
    cases = {
        "zero": ("zero", lambda site: Ablate(site, "zero")),
        "mean": ("mean", lambda site: Ablate(site, "mean", reference)),
        "a function": (lambda name: Steer(name, added), lambda site: Steer(site, added)),
    }
    for name, (intervention, make) in cases.items():
        given = reference if intervention == "mean" else None
        swept = sweep(model, images, None, target, intervention=intervention, reference=given)
        expected = ablated(model, images, target, make)
        assert set(swept) == {"effect", "baseline"}
        np.testing.assert_allclose(swept["effect"], expected, rtol=0, atol=1e-10, err_msg=name)


def test_resampling_is_patching_from_another_image_of_the_batch():
    model = small_model()
    images, _ = halves(model, 2)  # with two of them, each gets the other's values
    found = sweep(model, images, None, 0, intervention="resample", seed=3)["effect"]
    expected = sweep(model, images, images.flip(0), 0, direction="noise")["effect"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_resampling_from_a_reference_draws_with_a_seed():
    model = small_model()
    images, others = halves(model)
    each = [
        sweep(model, images, None, 0, intervention="resample", reference=others, seed=s)["effect"]
        for s in (0, 0, 5)
    ]
    np.testing.assert_array_equal(each[0], each[1])
    assert np.abs(each[0] - each[2]).max() > 1e-6


def test_a_mean_needs_no_hook_of_heads():
    model = small_model()
    images, _ = halves(model)
    found = sweep(model, images, None, 0, over="mlps", intervention="mean")
    cache = model.run_with_cache(images)[1]
    edit = Edit("L1M", lambda x, hook: cache["mlp_out", 1].mean((0, 1)).expand_as(x))
    with torch.no_grad(), model.intervene(edit):
        expected = model(images)[:, 0].numpy() - found["baseline"]
    np.testing.assert_allclose(found["effect"].sel(layer=1), expected, rtol=0, atol=1e-10)


def test_half_precision_is_swept_too():
    model = small_model().to(torch.bfloat16)
    found = sweep(model, *(x.bfloat16() for x in halves(model)), 0, over="mlps")
    assert np.isfinite(found["effect"]).all()


def test_a_model_of_one_block_and_one_image_is_swept():
    model = random_model(**(SMALL | {"n_layers": 1, "image_size": (4, 4)}))
    clean, corrupt = halves(model, 1)
    target = model.target(0)
    for over in SITES:
        swept = sweep(model, clean, corrupt, target, over=over)["effect"]
        expected = one_by_one(model, target, over, corrupt, clean)
        np.testing.assert_allclose(swept, expected, rtol=0, atol=1e-10, err_msg=over)
