"""The training loop, on problems that are learned in a second."""

import pytest
import torch
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState
from torch import nn

from vitreous.data import Images
from vitreous.training import Plan, Shift, accuracy, find_recipe, fit, new_model

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


class Told:
    """A log that remembers."""

    def __init__(self):
        self.rows, self.heard = [], []

    def start(self, start):
        self.heard.append(start)

    def write(self, progress):
        self.rows.append(progress)

    def flush(self):
        self.heard.append("flush")

    def close(self):
        self.heard.append("close")


def test_logs_are_told_every_ten_steps_and_at_the_end_of_an_epoch():
    told = Told()
    plan = Plan(epochs=2, batch_size=4, learning_rate=1e-2)
    last = fit(linear(), bright_or_dark(70), plan, seed=0, logs=[told])
    assert [row.step for row in told.rows] == [10, 17, 27, 34]  # two pictures fill no batch
    assert [row.epoch for row in told.rows] == [0, 1, 1, 2]
    assert told.rows[-1].loss < told.rows[0].loss
    assert told.rows[-1].learning_rate == 1e-2 * plan.rate(33, 34)
    assert [row.seconds for row in told.rows] == sorted(row.seconds for row in told.rows)
    assert last.step == 34
    assert last.loss == pytest.approx((told.rows[2].loss * 10 + told.rows[3].loss * 7) / 17)


def test_a_log_hears_the_start_and_the_end():
    told = Told()
    fit(linear(), bright_or_dark(), QUICK, seed=0, logs=[told])
    start, end = told.heard
    assert (start.n_steps, start.resumed_at, end) == (48, None, "close")


def test_a_log_is_closed_when_the_training_fails():
    told = Told()
    with pytest.raises(ValueError, match="labels"):
        fit(linear(), Images.from_tensor(torch.zeros(16, 1, 8, 8)), QUICK, seed=0, logs=[told])
    assert told.heard[-1] == "close"


def test_a_plan_of_steps_may_end_within_an_epoch_and_go_beyond_one():
    for steps, epochs in ((3, 0), (6, 1)):
        plan = Plan(steps=steps, batch_size=16, learning_rate=1e-2)
        last = fit(linear(), bright_or_dark(), plan, seed=0)
        assert (last.step, last.epoch) == (steps, epochs)


def test_another_loss_may_be_made_small():
    def far_from_one(model, batch):
        return (model(batch.pixels) - 1).square().mean()

    model = linear()
    with torch.no_grad():
        before = far_from_one(model, bright_or_dark()[:])
    fit(model, Images.from_tensor(bright_or_dark()[:].pixels), QUICK, seed=0, loss=far_from_one)
    with torch.no_grad():
        assert far_from_one(model, bright_or_dark()[:]) < 0.5 * before


def test_the_chance_of_the_model_is_seeded_and_that_of_the_caller_left_alone():
    weights = []
    for _ in range(2):
        model = nn.Sequential(linear(), nn.Dropout())
        torch.manual_seed(len(weights))
        before = torch.get_rng_state()
        fit(model, bright_or_dark(), QUICK, seed=0)
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(model[0][1].weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ACCELERATE_MIXED_PRECISION", "fp16", "must be 'no' or 'bf16'; got 'fp16'"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "got Accelerate's 4 accumulation steps"),
    ],
)
def test_a_setting_that_a_restart_would_lose_is_refused(monkeypatch, variable, value, message):
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        fit(linear(), bright_or_dark(), QUICK, seed=0)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_fitted_model_is_left_ready_for_evaluation():
    model = nn.Sequential(linear(), nn.Dropout())
    fit(model, bright_or_dark(), QUICK, seed=0)
    assert not model.training


def test_processes_that_hold_parts_of_the_model_are_refused(monkeypatch):
    sharded = property(lambda self: DistributedType.FSDP)
    monkeypatch.setattr(Accelerator, "distributed_type", sharded)
    with pytest.raises(ValueError, match="must hold the whole model; got Accelerate's FSDP"):
        fit(linear(), bright_or_dark(), QUICK, seed=0)


def test_too_few_pictures_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="`images` must fill a batch of 16; got 8"):
        fit(linear(), bright_or_dark(8), QUICK, seed=0)


def test_pictures_without_labels_are_refused():
    with pytest.raises(ValueError, match="`images` must have labels to train on; got none"):
        fit(linear(), Images.from_tensor(torch.zeros(16, 1, 8, 8)), QUICK, seed=0)


@pytest.mark.parametrize(
    "name", ["terrarium-spurious", "terrarium-typographic", "terrarium-repeats"]
)
def test_a_few_steps_of_a_recipe_are_the_same_again(name):
    recipe = find_recipe(name)
    few = Plan(steps=2, batch_size=8, learning_rate=1e-3, shuffle=False)
    made = [new_model(recipe, 0) for _ in range(2)]
    start = new_model(recipe, 0).state_dict()
    for model in made:
        fit(model, recipe.images("train"), few, seed=0, loss=recipe.loss)
    for weight, value in made[0].state_dict().items():
        assert torch.equal(value, made[1].state_dict()[weight])
    assert not torch.equal(made[0].head.linear.weight, start["head.linear.weight"])
