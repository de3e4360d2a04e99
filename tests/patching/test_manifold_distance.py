"""How far from clean activations a run is, and by whose measure."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.data import Images
from vitreous.hooks import Site, Steer
from vitreous.models import HookedViT, without_tokens
from vitreous.patching import CleanActivations, manifold_distance

CLEAN = random_images(400, seed=2)
OTHERS = random_images(40, seed=3)


def class_tokens(model: HookedViT, images: torch.Tensor, layer: int) -> np.ndarray:
    with torch.no_grad():
        return model.run_with_cache(images)[1]["resid_post", layer][:, 0].numpy()


def halves(values: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(values))
    return [values[rows] for rows in np.array_split(order, 2)]


def test_it_is_scikit_learns_distance_on_held_out_halves():
    model = random_model()
    found = manifold_distance(model, CLEAN, OTHERS)
    for layer in range(3):
        fitted, held_out = halves(class_tokens(model, CLEAN, layer))
        fit = LedoitWolf().fit(fitted)
        shown = class_tokens(model, OTHERS, layer)
        here = found.sel(layer=layer)
        # scikit-learn's is squared.
        assert np.allclose(here["mahalanobis"] ** 2, fit.mahalanobis(shown), rtol=1e-10)
        assert float(here["shrinkage"]) == fit.shrinkage_
        clean = np.sqrt(fit.mahalanobis(held_out))
        assert float(here["clean_mahalanobis_mean"]) == pytest.approx(clean.mean(), rel=1e-10)
        for word, part in (("low", 5), ("median", 50), ("high", 95)):
            expected = np.percentile(clean, part)
            assert float(here[f"clean_mahalanobis_{word}"]) == pytest.approx(expected, rel=1e-10)
        nearer = [(clean < each).mean() for each in np.sqrt(fit.mahalanobis(shown))]
        assert np.allclose(here["farther_than"], nearer)


def test_it_is_the_slow_writing_of_the_definition():
    """Mean, covariance, shrinkage of Ledoit and Wolf (2004), section 3.2, and the distance."""
    model = random_model(pooling=READOUTS["mean behind the norm"]["pooling"])
    found = manifold_distance(model, CLEAN, OTHERS[:5], layers=[1])
    cache = [model.run_with_cache(x)[1]["resid_post", 1][:, 1:].mean(1) for x in (CLEAN, OTHERS)]
    clean, others = (x.detach().numpy() for x in cache)
    fitted, held_out = halves(clean)
    n, width = fitted.shape
    mean = sum(fitted) / n
    covariance = sum(np.outer(x - mean, x - mean) for x in fitted) / n
    level = np.trace(covariance) / width
    d2 = ((covariance - level * np.eye(width)) ** 2).sum()
    b2 = sum(((np.outer(x - mean, x - mean) - covariance) ** 2).sum() for x in fitted) / n**2
    part = min(b2, d2) / d2
    shrunken = (1 - part) * covariance + part * level * np.eye(width)
    for i, vector in enumerate(others[:5]):
        squared = (vector - mean) @ np.linalg.solve(shrunken, vector - mean)
        here = found.isel(image=i, layer=0)
        assert float(here["mahalanobis"]) == pytest.approx(squared**0.5, rel=1e-9)
        length = sum(np.sqrt((x**2).sum()) for x in fitted) / n
        expected = np.sqrt((vector**2).sum()) / length
        assert float(here["norm_ratio"]) == pytest.approx(expected, rel=1e-10)
    ratios = [np.linalg.norm(x) / length for x in held_out]
    assert float(found["clean_norm_ratio_mean"][0]) == pytest.approx(np.mean(ratios), rel=1e-10)
    assert float(found["shrinkage"][0]) == pytest.approx(part, rel=1e-9)


def test_a_step_into_a_thin_direction_is_seen_by_mahalanobis_and_not_by_the_norm():
    model, site = random_model(), Site("blocks.1.hook_resid_post", positions="cls")
    generator = torch.Generator().manual_seed(4)
    thin, wide = torch.linalg.qr(torch.randn(16, 2, generator=generator).double())[0].T
    found = {}

    def flatten(x, hook):  # along one direction, nothing varies but by a thousandth
        return x - 0.999 * (x @ thin)[..., None] * thin

    with model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", flatten)]):
        clean = CleanActivations.of(model, CLEAN, layers=[1])
        step = 2 * (torch.tensor(class_tokens(model, CLEAN, 1)) @ wide).std().item()
        for name, direction in (("thin", thin), ("wide", wide)):
            with model.intervene(Steer(site, direction, step)):
                _, cache = model.run_with_cache(OTHERS)
            found[name] = manifold_distance(model, clean, cache=cache)
    here = found["thin"]
    assert (here["farther_than"] == 1).all()
    assert float(here["mahalanobis"].min() / here["clean_mahalanobis_high"][0]) > 1.3
    assert float(found["wide"]["farther_than"].mean()) < 0.8  # as long a step, along a wide one
    low, high = (float(here[f"clean_norm_ratio_{word}"][0]) for word in ("low", "high"))
    assert low < float(here["norm_ratio"].median()) < high


def test_longer_vectors_are_seen_by_the_norm():
    model = random_model()
    with model.hooks(fwd_hooks=[("blocks.2.hook_resid_post", lambda x, hook: 3 * x)]):
        _, cache = model.run_with_cache(OTHERS)
    found = manifold_distance(model, CLEAN, cache=cache, layers=[2])
    plain = manifold_distance(model, CLEAN, OTHERS, layers=[2])
    assert np.allclose(found["norm_ratio"], 3 * plain["norm_ratio"])


def test_other_clean_images_are_as_far_as_those_held_out():
    found = manifold_distance(random_model(), CLEAN, random_images(400, seed=9))
    assert np.abs(found["farther_than"].mean("image") - 0.5).max() < 0.1
    assert np.abs(found["norm_ratio"].mean("image") - found["clean_norm_ratio_mean"]).max() < 0.05


@pytest.mark.parametrize("name", READOUTS)
def test_every_model_has_a_stream_to_look_at(name):
    model = random_model(**READOUTS[name])
    clean, images = images_of(model, 30), images_of(model, 3, seed=5)
    found = manifold_distance(model, clean, images)
    assert found["mahalanobis"].shape == (3, 3) and found.notnull().to_array().all()
    patches = manifold_distance(model, clean, images, positions="patches", layers=[0])
    assert not np.allclose(
        patches["mahalanobis"], found["mahalanobis"].sel(layer=[0]), rtol=1e-6
    ) or (model.layout.select("readout") == model.layout.select("patches"))


def test_batches_do_not_matter_and_a_reference_serves_many_calls():
    model = random_model()
    clean = CleanActivations.of(model, Images.from_tensor(CLEAN, batch_size=7))
    first = manifold_distance(model, clean, Images.from_tensor(OTHERS, batch_size=9))
    second = manifold_distance(model, CLEAN, OTHERS)
    for name, values in first.items():
        assert np.allclose(values, second[name], rtol=1e-9), name


def test_a_run_and_a_stream_are_measured_as_images_are():
    model = random_model()
    clean = CleanActivations.of(model, CLEAN)
    expected = manifold_distance(model, clean, OTHERS)
    cache = model.run_with_cache(OTHERS)[1]
    for found in (
        manifold_distance(model, clean, cache=cache),
        manifold_distance(model, clean, model.embed(OTHERS)),
    ):
        assert np.allclose(found["mahalanobis"], expected["mahalanobis"], rtol=1e-9)
    short = manifold_distance(model, clean, without_tokens(model, OTHERS, (0, 0)))
    assert (short["mahalanobis"] != expected["mahalanobis"]).all()


def test_half_precision_and_one_image_of_one_patch():
    model = random_model(image_size=(4, 4)).to(torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    found = manifold_distance(
        model, model.random_inputs(20, generator), model.random_inputs(1, generator)
    )
    assert found["mahalanobis"].shape == (1, 3) and found["mahalanobis"].dtype == np.float64
