"""How long a training is, and when its weights are kept."""

import math

import pytest

from vitreous.training import Plan, log_spaced


def test_the_learning_rate_rises_to_its_height_and_falls_to_zero():
    plan = Plan(epochs=1, batch_size=1, learning_rate=1.0, warmup=0.25)
    rates = [plan.rate(step, 100) for step in range(101)]
    assert rates[:25] == pytest.approx([(step + 1) / 25 for step in range(25)])
    assert rates[25] == 1.0
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates[62] == pytest.approx(0.5 * (1 + math.cos(math.pi * 37 / 75)))


def test_epochs_count_whole_batches_and_steps_count_themselves():
    assert Plan(epochs=3, batch_size=16, learning_rate=1).n_steps(70) == 12
    assert Plan(steps=7, batch_size=16, learning_rate=1).n_steps(70) == 7


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"steps": -1}])
def test_a_plan_has_one_length(length):
    with pytest.raises(ValueError, match="A plan must have either `epochs` or `steps`; got"):
        Plan(batch_size=1, learning_rate=1, **length)


def test_log_spaced_steps_double_up_to_half_of_the_training():
    assert log_spaced(8000) == [0, 15, 31, 62, 125, 250, 500, 1000, 2000, 4000]
    assert log_spaced(8000, count=3) == [0, 2000, 4000]
    assert log_spaced(6) == [0, 1, 3]
    assert log_spaced(1) == [0]
