"""What galleries and reports on heads say of bad input: one line that tells how to mend it."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from vitreous.heads import score_heads
from vitreous.patching import ablate_heads
from vitreous.report import _head_gallery, head_gallery, head_report
from vitreous.view import HeadCards, HeadMap, PatchStrip, Picture, TokenMap


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def pixels(model):
    return images_of(model, 2)


@pytest.mark.parametrize("asked", [head_gallery, lambda *given: head_report(*given, 0, 0)])
def test_clips_are_refused(asked):
    model = random_model(**READOUTS["clips, attention over time and over space"])
    with pytest.raises(ValueError, match="shows patches on one picture; got a model of clips of 3"):
        asked(model, images_of(model))


@pytest.mark.parametrize("asked", [head_gallery, lambda *given: head_report(*given, 0, 0)])
def test_an_empty_set_is_refused(asked, model, pixels):
    with pytest.raises(ValueError, match="must hold an image; got none"):
        asked(model, pixels[:0])


@pytest.mark.parametrize(
    ("layer", "head", "says"), [(9, 0, "`layer` must"), (0, -5, "`head` must")]
)
def test_a_head_that_is_not_there_is_refused(model, pixels, layer, head, says):
    with pytest.raises(ValueError, match=says):
        head_report(model, pixels, layer, head)


def test_scores_of_another_model_are_refused(model, pixels):
    other = random_model(n_layers=1)
    scores = score_heads(other, pixels, scores=["self"])
    with pytest.raises(ValueError, match="must be of this model's 3 x 4 heads; got 1 x 4"):
        head_gallery(model, pixels, scores=scores)


def test_an_example_that_is_not_there_is_refused(model, pixels):
    with pytest.raises(ValueError, match=r"places in 0\.\.1; got \[2\]"):
        head_gallery(model, pixels, examples=[2])


def test_more_heads_than_a_page_can_hold_are_refused(model, pixels, monkeypatch):
    monkeypatch.setattr(_head_gallery, "MOST_SCORES", 400)
    with pytest.raises(ValueError, match="at most 9 heads with 2 images of 7 tokens; got 12"):
        head_gallery(model, pixels)


def test_nan_images_are_refused(model, pixels):
    with pytest.raises(ValueError, match="must be finite"):
        head_report(model, pixels * torch.nan, 0, 0)


def test_a_layer_that_is_not_there_is_refused(model, pixels):
    with pytest.raises(ValueError, match=r"`layers` must name some in 0\.\.2; got \[3\]"):
        ablate_heads(model, pixels, 0, layers=[3])


def test_cards_need_maps_of_the_same_heads():
    maps = [HeadMap("one", np.zeros((1, 2, 3, 3))), HeadMap("two", np.zeros((2, 2, 3, 3)))]
    with pytest.raises(ValueError, match="maps of the same layers and heads"):
        HeadCards(maps, {})


def test_cards_hold_so_many_heads_only():
    one = np.broadcast_to(np.float32(0), (100, 1700, 10, 10))
    with pytest.raises(
        ValueError, match="must hold 1 to 160000 heads with maps of 100 cells; got 170"
    ):
        HeadCards([HeadMap("one", one)], {})


def test_a_strip_needs_a_label_for_each_picture():
    picture = Picture.of(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="got 2 pictures"):
        PatchStrip([picture] * 2, TokenMap(((0,),), ("r0c0",)), ["one"])
