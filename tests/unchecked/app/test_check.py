"""`vitreous check`, from the words on the command line to the exit code."""

import pytest
import safetensors.torch
import timm
import torch

from tests.parity.transformers_texts import random_model
from vitreous.app import run
from vitreous.data import sample
from vitreous.models import MLP


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    vit = timm.create_model("test_vit").eval()
    file = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    safetensors.torch.save_file(vit.state_dict(), file)
    return file


def test_a_model_is_compared_with_its_library(weights, capsys):
    assert run(["check", "timm:test_vit", "--weights", str(weights)]) == 0
    printed, said = capsys.readouterr()
    assert printed.startswith("Equality with timm's VisionTransformer on 2 images\n")
    assert "values agree." in printed and "identity (in float64)" in printed
    assert said == ""


@pytest.mark.parametrize(("tower", "inputs"), [("image", "images"), ("text", "texts")])
def test_each_tower_of_a_clip_is_compared(tower, inputs, tmp_path, capsys):
    random_model("clip, both towers").save_pretrained(tmp_path)
    assert run(["check", f"hf:{tmp_path}", "--tower", tower]) == 0
    assert f"WithProjection on 2 {inputs}\n" in capsys.readouterr().out


def test_a_clip_is_compared_tower_by_tower_unless_one_is_asked_for(tmp_path, capsys):
    random_model("clip, both towers").save_pretrained(tmp_path)
    assert run(["check", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("image tower\nEquality with") and "\ntext tower\nEquality" in printed


def test_a_model_that_differs_ends_with_1(weights, capsys, monkeypatch):
    write = MLP.write
    monkeypatch.setattr(MLP, "write", lambda self, post: write(self, post) * 1.0001)
    assert run(["check", "timm:test_vit", "--weights", str(weights)]) == 1
    printed, said = capsys.readouterr()
    assert "DIFFERS" in printed and "is blocks.0.hook_mlp_out." in printed
    assert said == ""


def test_a_model_without_a_library_has_its_identities(capsys):
    assert run(["check", "digits"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("identity (in float64)")
    assert printed[-1] == "`digits` has no source library to compare it with."


def test_broken_identities_end_with_1(capsys, monkeypatch):
    write = MLP.write
    monkeypatch.setattr(
        MLP, "write", lambda self, post: write(self, post + 1e-3 * post.mean(0, keepdim=True))
    )
    assert run(["check", "digits"]) == 1
    assert "FAILS" in capsys.readouterr().out


def test_pictures_are_prepared_as_the_model_wants_them(weights, tmp_path, capsys):
    pictures = [str(sample("digit")) for _ in range(3)]
    options = [word for picture in pictures for word in ("--image", picture)]
    assert run(["check", "timm:test_vit", "--weights", str(weights), *options]) == 0
    assert "on 3 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "No model is named 'nothing'"),
        (["digits", "--image", "/nowhere.png"], "nowhere.png"),
        (["digits", "--tower", "sound"], "`--tower` must be image, text or both; got 'sound'"),
        (["digits", "--tower", "text"], "`tower` must be one that the model has"),
        (["digits", "--tower", "text", "--image", "a.png"], "`--image` must go with an image"),
        (["digits", "--device", "warp"], "`--device` must be one that torch can use here"),
        (["timm:test_vit", "--weights", "/nowhere"], "nothing is at `/nowhere`"),
        (["timm:swin_tiny_patch4_window7_224", "--weights", "/nowhere"], "vt.wrap"),
        ([], "model"),
    ],
    ids=[
        *("a name", "a picture", "a tower", "no such tower", "a picture and texts"),
        *("a device", "weights", "a Swin", "no name"),
    ],
)
def test_what_the_user_can_mend_ends_with_2_and_one_line(words, said, capsys):
    assert run(["check", *words]) == 2
    printed, line = capsys.readouterr()
    assert printed == "" and line.count("\n") == 1 and said.lower() in line.lower()
