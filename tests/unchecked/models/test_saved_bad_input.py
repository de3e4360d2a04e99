"""Folders that hold no model, or half of one."""

import json
import re

import pytest
import safetensors.torch
import torch

import vitreous as vt
from tests.tiny import random_model
from vitreous._errors import UnknownNameError, WeightsError
from vitreous.training import RunFolder


@pytest.fixture
def folder(tmp_path):
    random_model().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def refusal(folder) -> str:
    with pytest.raises(WeightsError) as error:
        vt.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def change(folder, **entries) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | entries))


# ---- the description


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"a model"', b"{]"])
def test_a_description_that_can_not_be_read_is_named(folder, content):
    (folder / "config.json").write_bytes(content)
    message = refusal(folder)
    assert message.startswith(f"`config.json` in `{folder}` must be a model's description; it can")
    assert message.endswith("Save the model again.")


def test_a_folder_without_a_description_is_named(tmp_path):
    assert f"`config.json` in `{tmp_path}` must be a model's description; it" in refusal(tmp_path)


def test_a_description_of_another_library_is_told_apart(folder):
    (folder / "config.json").write_text('{"architecture": "vit_tiny", "num_classes": 10}')
    assert "must describe a Vitreous model; its format is None. Load it through" in refusal(folder)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"config": {"n_layers": 3}}, "`HookedViTConfig` must have `d_model`; got none."),
        ({"config": None}, "`HookedViTConfig` must be a dictionary; got None."),
        ({"config": {"n_layers": 1, "d_model": 8, "n_heads": 3}}, "ValueError (`d_model` must div"),
        ({"config": {"n_layer": 1}}, "Nearest: n_layers"),
        ({"labels": ["cat"]}, "TypeError"),
        ({"labels": {"names": ["cat"], "emoji": ["🐱", "🐶"]}}, "`emoji` must have one entry"),
        ({"preprocessing": {"image_size": [8, 8]}}, "Error ("),
        ({"card": 3}, "TypeError"),
    ],
)
def test_a_description_of_what_can_not_be_built_says_why(folder, entries, why):
    change(folder, **entries)
    message = refusal(folder)
    assert f"`config.json` in `{folder}` must describe a model that can be built; got" in message
    assert any(each in message for each in why.split("|"))


# ---- the weights


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_weights_cut_off_anywhere_are_noticed(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    message = refusal(folder)
    assert message.startswith("`model.safetensors` must be a whole safetensors file; it can't be")
    assert message.endswith("Download or save it again.")


def test_missing_weights_are_named(folder):
    (folder / "model.safetensors").unlink()
    assert f"nothing is at `{folder / 'model.safetensors'}`. Check the path." in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head.linear.weight": torch.zeros(7, 16)},
         "`head.linear.weight` in `model.safetensors` must have shape [5, 16]; got [7, 16]. Use"),
        ({"head.linear.weight": torch.zeros(16, 5)},
         "must have shape [5, 16]; got [16, 5]"),
        ({"embedding.pos": torch.zeros(1, 16)}, "`embedding.pos` in `model.safetensors` must have"),
        ({"ln_final.w": None}, "1 missing, first `ln_final.w`. Use the weights of this arch"),
        ({"ln_final.w": None, "ln_final.weight": torch.ones(16)},
         "1 missing, first `ln_final.w` (nearest there: ln_final.weight) and 1 unknown, first `l"),
        ({"blocks.3.ln1.w": torch.ones(16)}, "1 unknown, first `blocks.3.ln1.w`."),
        ({"ln_final.w": torch.ones(16, dtype=torch.int8)},
         "`ln_final.w` in `model.safetensors` must hold floating-point numbers; got torch.int8. "),
    ],
)  # fmt: skip
def test_a_tensor_that_does_not_fit_is_named(folder, changes, message):
    tensors = safetensors.torch.load_file(folder / "model.safetensors") | changes
    fitting = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors.torch.save_file(fitting, folder / "model.safetensors")
    assert message in refusal(folder)


# ---- means, and places


def test_means_that_can_not_be_read_are_named(folder):
    message = (
        rf"`means.safetensors` in `{re.escape(str(folder))}` must hold means; it can't be read"
    )
    (folder / "means.safetensors").write_bytes(b"not means")
    assert re.search(message, refusal(folder))
    safetensors.torch.save_file({"x": torch.zeros(1)}, folder / "means.safetensors")
    assert re.search(message, refusal(folder))


def test_a_file_is_no_folder(folder):
    with pytest.raises(
        UnknownNameError, match=r"No model is named '.*config\.json'\. Known: .*digits"
    ):
        vt.load(folder / "config.json")


def test_a_folder_can_not_be_made_where_a_file_lies(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"`.*file` must be writable; got 'File exists'\. Choose"):
        random_model().save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, "float16", 16])
def test_weights_are_stored_as_floating_point_numbers(tmp_path, dtype):
    with pytest.raises(ValueError, match=r"`dtype` must be a floating-point type; got .*\. Pass t"):
        random_model().save_pretrained(tmp_path / "model", dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["4", 4.5, True, float("nan"), -1, 10**30, [4], "../m"], ids=repr)
def test_a_step_that_is_none(folder, step):
    RunFolder(folder).keep_weights(random_model(), 4)
    message = f"`checkpoint` of `saved` must be one of 4; got {step!r}. Pass one of them."
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        vt.load(folder, checkpoint=step)


@pytest.mark.parametrize("name", [None, 3, b"digits", ["digits"]], ids=repr)
def test_a_name_that_is_none(name):
    with pytest.raises(TypeError, match="`name` must be a name or a path; got"):
        vt.load(name)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "digits ", "."])
def test_a_name_of_no_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UnknownNameError, WeightsError)) as error:
        vt.load(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["float32", None, torch.int8, torch.complex64, 3], ids=repr)
def test_a_type_of_weights_that_can_not_be(dtype):
    with pytest.raises(TypeError, match="`dtype` must be a floating-point type of torch; got"):
        vt.load("digits", dtype=dtype)


def test_a_folder_where_means_should_be(folder):
    (folder / "means.safetensors").mkdir()
    assert "must hold means; it can't be read" in refusal(folder)
