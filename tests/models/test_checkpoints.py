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


@pytest.mark.parametrize("harm", [b"", b"no tensors at all", None], ids=["empty", "text", "cut"])
def test_every_harm_to_a_checkpoint_is_told_in_one_line(folder, harm):
    path = folder / "checkpoints" / "4.safetensors"
    path.write_bytes(path.read_bytes()[:-1] if harm is None else harm)
    with pytest.raises(
        WeightsError, match=r"`4\.safetensors` must be a whole safetensors"
    ) as error:
        vt.load(folder, checkpoint=4)
    assert "\n" not in str(error.value)


def test_a_folder_is_no_checkpoint(folder):
    (folder / "checkpoints" / "6.safetensors").mkdir()
    with pytest.raises(UnknownNameError, match=r"must be one of 0, 4, 8; got 6\."):
        vt.load(folder, checkpoint=6)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"recipe": "other", "seed": 3}, "must be a checkpoint with recipe 'r'; it says 'other'."),
        ({"recipe": "r", "seed": 9}, "must be a checkpoint with seed 3; it says 9. Put it back"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(folder, about, message):
    RunFolder(folder).keep_weights(random_model(seed=1), 4, about)
    with pytest.raises(WeightsError, match=message):
        vt.load(folder, checkpoint=4)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(folder):
    (folder / "checkpoints" / "4.safetensors").rename(folder / "checkpoints" / "5.safetensors")
    with pytest.raises(WeightsError, match=r"must be a checkpoint with steps 5; it says 4\."):
        vt.load(folder, checkpoint=5)


def test_a_checkpoint_of_another_shape_is_refused(folder):
    RunFolder(folder).keep_weights(random_model(n_classes=7), 4)
    with pytest.raises(WeightsError, match=r"in `4\.safetensors` must have shape .5.*; got .7"):
        vt.load(folder, checkpoint=4)
