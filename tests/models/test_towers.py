"""One tower of a saved model, or both."""

import pytest
import torch

import vitreous as vt
from tests.models.test_clip import towers
from vitreous.models import HookedCLIP


@pytest.fixture
def folder(tmp_path):
    clip = HookedCLIP(*towers())
    clip.card["source"] = "made here"
    clip.save_pretrained(tmp_path)
    return clip, tmp_path


def test_a_folder_of_two_towers_gives_both_or_one(folder):
    clip, path = folder
    assert isinstance(vt.load(path), HookedCLIP)
    assert isinstance(vt.load(path, tower="both"), HookedCLIP)
    for name in ("image", "text"):
        tower, own = vt.load(path, tower=name), getattr(clip, name)
        assert type(tower) is type(own)
        assert tower.card["source"] == "made here"
        assert tower.card["weight_hash"] != vt.load(path).card["weight_hash"]
        state = tower.state_dict()
        assert all(torch.equal(tensor, state[key]) for key, tensor in own.state_dict().items())
    assert isinstance(vt.HookedViT.from_pretrained(path), vt.HookedViT)


def test_a_folder_of_one_tower_gives_that_and_no_other(folder):
    clip, path = folder
    clip.text.save_pretrained(path)
    assert isinstance(vt.load(path, tower="text"), vt.HookedTextTransformer)
    with pytest.raises(ValueError, match="got 'both' for a HookedTextTransformer"):
        vt.load(path, tower="both")


def test_an_image_model_is_its_image_tower():
    assert isinstance(vt.load("digits", tower="image"), vt.HookedViT)
    with pytest.raises(ValueError, match="got 'text' for a HookedViT"):
        vt.load("digits", tower="text")
