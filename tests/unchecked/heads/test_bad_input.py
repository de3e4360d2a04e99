"""What scores of heads say to input that they can't take."""

import re

import pytest
import torch

from tests.tiny import images_of, random_model
from vitreous import UnknownNameError
from vitreous.heads import (
    attention_distance,
    attention_rollout,
    head_profile,
    name_heads,
    score_heads,
)
from vitreous.heads._seen import Setting
from vitreous.models import PositionConfig, ResampleConfig

PIXELS = images_of(random_model(), 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"of": "q"}, "`of` must be 'pattern' or 'scores'; got 'q'. Pass one of them."),
        ({"scores": []}, "`scores` must name a score; got none. Pass None for all."),
        ({"scores": ["foreground"]}, "Score 'foreground' needs `masks`; got none. Pass them, or"),
        (
            {"masks": torch.zeros(2, 12, 8).long()},
            "`masks` must have one entry per image, 3; got 2. Check that both come from",
        ),
        ({"masks": torch.zeros(3, 9, 8).long()}, "`mask` must be 12 x 8 pixels; got 9 x 8."),
        (
            {"identities": torch.zeros(3, 5).long()},
            "`identities` must have a number for each of 6 patches; got 5. Pass one row per image.",
        ),
        ({"tolerance": -1.0}, "`tolerance` must not be negative; got -1.0. Pass 0 for equal"),
    ],
)
def test_score_heads_names_what_does_not_fit(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        score_heads(random_model(), PIXELS, **given)


def test_an_unknown_score_gets_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match=r"No head score is named 'corners'. Nearest: corner"
    ):
        score_heads(random_model(), PIXELS, scores=["corners"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heads": "sum"}, "`heads` must be 'mean', 'max' or 'min'; got 'sum'. Pass one."),
        ({"residual": 1.5}, "`residual` must lie in 0..1; got 1.5. 0.5 is usual."),
        ({"discard": 1.0}, "`discard` must lie in 0..1, below 1; got 1.0. Pass 0 for none."),
        ({"start_layer": 3}, "`start_layer` must lie in 0..2; got 3. Choose another."),
    ],
)
def test_rollout_names_the_option_that_cannot_be(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        attention_rollout(random_model(), PIXELS, **given)


def test_distance_knows_two_units():
    with pytest.raises(ValueError, match=r"`unit` must be 'patches' or 'pixels'; got 'inches'."):
        attention_distance(random_model(), PIXELS, unit="inches")


@pytest.mark.parametrize("positions", ["cls", [0]])
def test_distance_needs_a_patch(positions):
    with pytest.raises(ValueError, match=r"`positions` must have a patch; got none. Select"):
        attention_distance(random_model(), PIXELS, positions=positions)


@pytest.mark.parametrize(
    ("place", "message"),
    [((3, 0), "`layer` must lie in 0..2; got 3."), ((0, 4), "`head` must lie in 0..3; got 4.")],
)
def test_profiles_are_of_heads_that_there_are(place, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        head_profile(random_model(), PIXELS, *place)


def test_profiles_list_at_least_one():
    with pytest.raises(ValueError, match=r"`count` must be at least 1; got 0. Try 9."):
        head_profile(random_model(), PIXELS, 0, 0, count=0)


def everything(model, images):
    yield lambda: score_heads(model, images)
    yield lambda: score_heads(model, images, of="scores")
    yield lambda: attention_rollout(model, images)
    yield lambda: attention_distance(model, images)
    yield lambda: head_profile(model, images, 0, 0)


def test_no_images_are_an_error_everywhere():
    for call in everything(random_model(), PIXELS[:0]):
        with pytest.raises(ValueError, match=r"`images` must hold an image; got none"):
            call()


def test_attention_that_is_no_number_is_named_everywhere():
    model = random_model()
    with torch.no_grad():
        model.blocks[0].attn.W_Q.fill_(torch.nan)
    for call in everything(model, PIXELS):
        with pytest.raises(ValueError, match=r"`blocks.0.attn.hook_\w+` must be finite; got"):
            call()


def test_a_threshold_is_of_a_score_that_names_heads():
    scores = score_heads(random_model(), PIXELS)
    with pytest.raises(UnknownNameError, match=r"No head score with a title is named 'distance'"):
        name_heads(scores, {"distance": 1.0})


def test_images_of_several_sizes_are_refused():
    resampled = PositionConfig(resample=ResampleConfig())
    model = random_model(position=resampled)
    first = Setting.of_run(model, PIXELS, "pattern", "all", None)
    larger = torch.zeros(1, 3, 16, 12, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"must all be of one size, since places are compared; got"
    ):
        Setting.of_run(model, larger, "pattern", "all", first)
