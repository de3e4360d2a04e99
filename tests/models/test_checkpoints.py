"""Models as they were at earlier steps of their training."""

import pytest
import torch

import vitreous as vt
from tests.tiny import random_model
from vitreous._errors import UnknownNameError, WeightsError
from vitreous.training import RunFolder


@pytest.fixture
def folder(tmp_path):
    """A model of 8 steps with weights of its steps 0 and 4."""
    model = random_model(seed=2)
    tests = {"test": {"images": 50, "accuracy": 0.9}}
    model.card = {"name": "m", "recipe": "r", "seed": 3, "steps": 8, "tests": tests}
    model.save_pretrained(tmp_path)
    for step in (0, 4):
        RunFolder(tmp_path).keep_weights(random_model(seed=step), step)
    return tmp_path


def test_a_checkpoint_has_the_weights_of_its_step(folder):
    found = vt.load(folder, checkpoint=4)
    for name, value in random_model(seed=4).state_dict().items():
        assert torch.equal(found.state_dict()[name], value.half().float())


def test_its_card_says_only_what_is_true_of_it(folder):
    card = dict(vt.load(folder, checkpoint=4).card)
    assert card.pop("weight_hash") != vt.load(folder).card["weight_hash"]
    assert card == {"name": "m", "recipe": "r", "seed": 3, "steps": 4}


def test_the_last_step_is_the_model(folder):
    assert vt.load(folder, checkpoint=8).card["tests"]["test"]["accuracy"] == 0.9


def test_an_unknown_step_gets_those_that_there_are(folder):
    with pytest.raises(UnknownNameError, match="must be one of 0, 4, 8; got 5"):
        vt.load(folder, checkpoint=5)


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224", "folder"])
def test_a_model_without_checkpoints_says_so(tmp_path, name):
    random_model().save_pretrained(tmp_path / "folder")
    name = name if ":" in name else tmp_path / name
    with pytest.raises(UnknownNameError, match=r"must be a step kept from the training; `.*` has"):
        vt.load(name, checkpoint=5)


def test_a_checkpoint_and_weights_contradict_each_other(folder):
    with pytest.raises(ValueError, match="must take either `weights` or `checkpoint`; got both"):
        vt.load(folder, checkpoint=4, weights=folder / "model.safetensors")


def test_a_corrupt_checkpoint_is_named(folder):
    path = folder / "checkpoints" / "4.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"`4.safetensors` must be a whole safetensors file"):
        vt.load(folder, checkpoint=4)
