"""The training loop, on problems that are learned in a second."""

import math

import pytest
import torch
from torch import nn

from vitreous.data import Images
from vitreous.training import Plan, Shift, accuracy, fit

QUICK = Plan(epochs=12, batch_size=16, learning_rate=1e-2)


def bright_or_dark(count: int = 64) -> Images:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    noise = torch.rand(count, 1, 8, 8, generator=generator)
    return Images.from_tensor(noise - 1 + labels[:, None, None, None], labels)


def linear(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def test_fitting_learns_what_can_be_learned():
    model, images = linear(), bright_or_dark()
    before = accuracy(model, images)
    fit(model, images, QUICK, seed=0)
    assert before < 0.8
    assert accuracy(model, images) == 1.0


def test_the_same_seed_gives_the_same_weights_bit_by_bit():
    models = [linear(), linear()]
    for model in models:
        fit(model, bright_or_dark(), QUICK, seed=3, augment=Shift(2, background=0.0))
    assert torch.equal(models[0][1].weight, models[1][1].weight)


def test_another_seed_gives_other_weights():
    models = [linear(), linear()]
    for seed, model in enumerate(models):
        fit(model, bright_or_dark(), QUICK, seed=seed)
    assert not torch.equal(models[0][1].weight, models[1][1].weight)


def test_progress_is_told_after_every_epoch():
    told = []
    last = fit(linear(), bright_or_dark(70), QUICK, seed=0, after_epoch=told.append)
    assert [progress.epoch for progress in told] == list(range(1, 13))
    assert told[-1] == last
    assert last.step == 12 * 4  # the six pictures left over make no batch
    assert told[-1].loss < told[0].loss


def test_a_fitted_model_is_left_ready_for_evaluation():
    model = nn.Sequential(linear(), nn.Dropout())
    fit(model, bright_or_dark(), QUICK, seed=0)
    assert not model.training


def test_the_learning_rate_rises_to_its_height_and_falls_to_zero():
    plan = Plan(epochs=1, batch_size=1, learning_rate=1.0, warmup=0.25)
    rates = [plan.rate(step, 100) for step in range(101)]
    assert rates[:25] == pytest.approx([(step + 1) / 25 for step in range(25)])
    assert rates[25] == 1.0
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates[62] == pytest.approx(0.5 * (1 + math.cos(math.pi * 37 / 75)))


def test_too_few_pictures_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="`images` must fill a batch of 16; got 8"):
        fit(linear(), bright_or_dark(8), QUICK, seed=0)


def test_pictures_without_labels_are_refused():
    with pytest.raises(ValueError, match="`images` must have labels to train on; got none"):
        fit(linear(), Images.from_tensor(torch.zeros(16, 1, 8, 8)), QUICK, seed=0)
