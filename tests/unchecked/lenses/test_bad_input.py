"""What lenses say of input that they can't read: one line each."""

import numpy as np
import pytest
import torch

from tests.models.test_clip import towers
from tests.tiny import random_images, random_model
from vitreous.data import Images
from vitreous.lenses import emergent_segmentation_score, logit_lens, segmentation, when_known
from vitreous.models import HookedCLIP, PoolingConfig


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def clip():
    return HookedCLIP(*towers())


@pytest.fixture(scope="module")
def lens(model):
    return logit_lens(model, random_images())


MASKS = np.zeros((2, 12, 8), int)
BAD = {
    "`at` must be 'pre', 'mid' or 'post' for this model; got 'end'": {"at": "end"},
    "`layers` must lie in -1..2; got 3": {"layers": [0, 3]},
    "`layers` must be a list of blocks; got 2": {"layers": 2},
    r"`layers` must be a list of blocks; got \[\]": {"layers": []},
    "`labels` must lie in 0..4; got 5": {"labels": [0, 5]},
    "`labels` must be a list of classes; got 'class 1'": {"labels": "class 1"},
    r"`labels` must be a list of classes; got \[\]": {"labels": []},
    "No class is named 'zebra'": {"labels": ["zebra"]},
    "`top` must lie in 1..5, the number of classes; got 6": {"top": 6},
    "`top` must lie in 1..2, the number of classes; got 3": {"labels": [0, 1], "top": 3},
    "`positions`": {"positions": []},
}


@pytest.mark.parametrize("line", BAD)
def test_an_argument_that_cannot_be_is_named(model, line):
    with pytest.raises((ValueError, KeyError), match=line) as raised:
        logit_lens(model, random_images(), **BAD[line])
    assert "\n" not in str(raised.value)


def test_a_data_set_must_hold_an_image(model):
    with pytest.raises(ValueError, match="`images` must hold an image; got none"):
        logit_lens(model, random_images()[:0])


def test_images_must_be_ready_for_the_model(model):
    with pytest.raises(ValueError, match="`images` must be floating-point; got uint8"):
        logit_lens(model, torch.zeros(1, 3, 12, 8, dtype=torch.uint8))


def test_images_must_have_one_size():
    model = random_model(position=None)
    parts = [torch.zeros(3, 12, 8).double(), torch.zeros(3, 8, 8).double()]
    images = Images.from_dataset([(part, 0) for part in parts], batch_size=1)
    with pytest.raises(ValueError, match="`images` must have one size; got several"):
        logit_lens(model, images)


def test_a_model_needs_a_head(clip):
    with pytest.raises(ValueError, match="A lens needs a model with a head"):
        logit_lens(random_model(n_classes=None), random_images())


def test_labels_must_name_every_output(clip):
    model = random_model()
    model.labels = clip.zero_shot(["cat", "dog"]).labels
    with pytest.raises(ValueError, match="must name every output; got 2 names for 5 outputs"):
        logit_lens(model, random_images())


@pytest.mark.parametrize("labels", [None, [], "a cat"])
def test_a_model_of_images_and_texts_needs_texts(clip, labels):
    images = torch.zeros(1, 3, 4, 4).double()
    with pytest.raises(ValueError, match="`labels` must be texts, or their embeddings"):
        logit_lens(clip, images, labels=labels)


def test_texts_must_have_the_width_of_the_images(clip):
    images, line = torch.zeros(1, 3, 4, 4).double(), r"`labels` must be embeddings \[texts, 6\]"
    for embeddings in (torch.ones(3, 7), torch.ones(6)):
        with pytest.raises(ValueError, match=line):
            logit_lens(clip, images, labels=embeddings)


def test_streams_that_are_no_numbers_are_named_by_their_layer():
    model = random_model()
    with torch.no_grad():
        model.blocks[1].mlp.fc_out.bias[0] = torch.nan
    with pytest.raises(ValueError, match="`logit at layer 1` must be finite"):
        logit_lens(model, random_images())


def test_a_segmentation_needs_all_patches_and_its_layer(model, lens):
    with pytest.raises(ValueError, match="`lens` must hold each patch once; got 1 tokens"):
        segmentation(logit_lens(model, random_images(), positions="cls"), 0)
    with pytest.raises(ValueError, match="`lens` must hold each patch once; got 0 tokens"):
        segmentation(logit_lens(model, random_images(), positions=None), 0)
    with pytest.raises(ValueError, match=r"`layer` must be one of \[-1, 0, 1, 2\]; got 3"):
        segmentation(lens, 3)


@pytest.mark.parametrize(
    ("masks", "line"),
    [
        (MASKS[:1], "`masks` must be 2 of 12 x 8 pixels"),
        (MASKS[:, 1:], "`masks` must be 2 of 12 x 8 pixels"),
        (MASKS[0], r"`masks` must be \[images, rows, columns\]"),
        (MASKS - 1, "`masks` must show a class somewhere; got none"),
        (MASKS + 5, r"`masks` must hold classes that the lens was read for; got \[5\]"),
    ],
)
def test_masks_must_fit(lens, masks, line):
    with pytest.raises(ValueError, match=line):
        emergent_segmentation_score(lens, masks)


@pytest.mark.parametrize(
    ("of", "line"),
    [
        ("end", "`of` must be 'answer', 'label'"),
        ("label", "`of` must be 'answer', 'label'"),
        ([1], r"`of` must be a class .* for each of 2 images; got shape \[1\]"),
        ([1, 7], r"`of` must be a class .* got \[7\]"),
    ],
)
def test_each_image_must_be_asked_for_a_class(lens, of, line):
    with pytest.raises(ValueError, match=line):
        when_known(lens, of=of)


def test_what_is_known_is_known_of_images(model):
    with pytest.raises(ValueError, match="`images` must be given with a model"):
        when_known(model)
    with pytest.raises(ValueError, match="one output per image; got one that pools nothing"):
        when_known(random_model(pooling=PoolingConfig("none")), random_images())
