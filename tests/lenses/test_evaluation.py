"""Grades of lenses, against a slow writing of their definitions."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional

from tests.lenses.planted import drifting_model
from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous.lenses import JacobianLens, TunedLens, evaluate_lens, logit_lens
from vitreous.models import ZeroShotClassifier
from vitreous.training import Plan


@pytest.mark.parametrize("readout", READOUTS)
def test_at_the_last_layer_every_lens_is_the_model(readout):
    model = random_model(**READOUTS[readout])
    last = evaluate_lens(model, images_of(model)).sel(layer=2)
    for name, value in {"kl": 0, "rank": 0, "causal_cosine": 1, "causal_gain": 1}.items():
        np.testing.assert_allclose(last[name], value, rtol=0, atol=1e-10)


def test_divergence_entropy_and_rank_are_those_of_the_readout_row():
    model, images = random_model(), random_images(5)
    grades, rows = evaluate_lens(model, images), logit_lens(model, images)["readout"].values
    output = log_softmax(model(images).detach().numpy(), -1)
    for image in range(5):
        for place in range(4):
            logs = log_softmax(rows[image, place])
            at = grades.isel(image=image, layer=place)
            kl = sum(np.exp(p) * (p - q) for p, q in zip(output[image], logs, strict=True))
            assert at["kl"].item() == pytest.approx(kl, abs=1e-10)
            assert at["entropy"].item() == pytest.approx(-(np.exp(logs) * logs).sum())
            assert at["rank"].item() == sorted(-logs).index(-logs[output[image].argmax()])


def test_the_causal_grade_is_the_cosine_of_expected_and_found_change():
    model, images = random_model(), random_images(1)
    grades = evaluate_lens(model, images, n_classes=2, step=0.1).sel(layer=0, image=0)
    resid = model(images, stop_at_layer=1).detach()
    norm, head, output = model.ln_final, model.head.linear, model(images).detach()[0]

    def lens(stream):
        return head(norm.fused(stream[:, 0]))[0]

    found = []
    for label in output.argsort(descending=True)[:2]:
        token = resid[0, 0].clone().requires_grad_()
        logits = head(norm.fused(token))
        (slope,) = torch.autograd.grad(logits[label] - logits.mean(), token)
        moved = resid.clone()
        moved[0, 0] += 0.1 * resid[0, 0].norm() * slope / slope.norm()
        expected = (lens(moved) - lens(resid)).detach()
        change = (model(moved, start_at_layer=1)[0] - output).detach()
        expected, change = expected - expected.mean(), change - change.mean()
        cosine = expected @ change / expected.norm() / change.norm()
        found.append((cosine.item(), (expected @ change / (expected @ expected)).item()))
    cosine, gain = np.mean(found, 0)
    assert grades["causal_cosine"].item() == pytest.approx(cosine, abs=1e-10)
    assert grades["causal_gain"].item() == pytest.approx(gain, abs=1e-10)


def test_a_lens_that_knows_the_rest_of_the_model_moves_it_where_another_does_not():
    model, images = drifting_model(), random_images(6)
    knows = evaluate_lens(model, images, JacobianLens.fit(model, images))
    does_not = evaluate_lens(model, images)
    assert knows["causal_cosine"].min() > 1 - 1e-9
    assert knows["kl"].max() < 1e-12
    assert does_not["causal_cosine"].sel(layer=-1).mean() < 0.9


def test_a_classifier_of_texts_is_graded_too():
    bank = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = torch.tensor(7.0, dtype=torch.float64)
    classifier = ZeroShotClassifier(random_model(), functional.normalize(bank, dim=-1), scale, None)
    images = random_images(8)
    lenses = [
        TunedLens.fit(classifier, images, Plan(batch_size=8, learning_rate=1e-2, steps=30)),
        JacobianLens.fit(classifier, images),
    ]
    untuned = evaluate_lens(classifier, images)
    for lens in lenses:
        grades = evaluate_lens(classifier, images, lens)
        np.testing.assert_allclose(grades["causal_cosine"].sel(layer=2), 1, atol=1e-10)
        assert grades["kl"].mean() < untuned["kl"].mean()
        output = lens(classifier, images)["readout"].sel(layer=2)
        np.testing.assert_allclose(output, classifier(images).detach(), atol=1e-10)


def test_data_sets_are_graded_batch_by_batch():
    model, images = random_model(), random_images(70)
    whole = evaluate_lens(model, images)
    assert whole.sizes == {"image": 70, "layer": 4}
    some = evaluate_lens(model, images[66:])
    np.testing.assert_allclose(whole["causal_cosine"][66:], some["causal_cosine"], atol=1e-10)
