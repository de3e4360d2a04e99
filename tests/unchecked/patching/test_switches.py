"""What the search for a switch says of bad input."""

import pytest

from tests.tiny import random_images, random_model
from vitreous._errors import HookError
from vitreous.hooks import Ablate
from vitreous.patching import find_switch, switch_generality


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def pair(model):
    images = random_images(40)
    sign = model.target(0, minus=1)(model(images)).sign()
    return images[sign > 0][:1], images[sign < 0][:1]


def test_a_pair_with_one_answer_shows_both_values(model):
    target = model.target(0, minus=1)
    images = random_images(40)
    one, other = images[target(model(images)) > 0][:2].split(1)
    values = [target(model(each)).item() for each in (one, other)]
    line = rf"sign of `class 0 - class 1` must differ.*got {values[0]:.4g} and {values[1]:.4g}"
    with pytest.raises(ValueError, match=line):
        find_switch(model, one, other, target)


def test_a_pair_with_one_prediction_shows_both_logits(model):
    images = random_images(40)
    predicted = model(images).argmax(1)
    one, other = images[predicted == predicted[0]][:2].split(1)
    logits = [model(each).max().item() for each in (one, other)]
    line = rf"with logits {logits[0]:.4g} and {logits[1]:.4g} on pair 0"
    with pytest.raises(ValueError, match=line):
        find_switch(model, one, other)


def test_unknown_words(model, pair):
    target = model.target(0, minus=1)
    with pytest.raises(ValueError, match="`over` must be one of"):
        find_switch(model, *pair, target, over="neurons")
    with pytest.raises(ValueError, match="`direction` must be one of 'denoise', 'noise'"):
        find_switch(model, *pair, target, direction="backwards")


def test_active_hooks_are_refused(model, pair):
    line = r"no active hooks; got some on `blocks\.0\.hook_mlp_out`"
    with pytest.raises(HookError, match=line), model.intervene(Ablate("L0M", "zero")):
        find_switch(model, *pair, model.target(0, minus=1))


def test_generality_needs_sets_of_heads(model, pair):
    target = model.target(0, minus=1)
    places = find_switch(model, *pair, target, over="heads_and_positions")
    with pytest.raises(ValueError, match="got sets with positions"):
        switch_generality(model, *pair, target, places)
