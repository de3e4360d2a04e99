"""`vitreous explain`, from the words on the command line to the file on the disk."""

import errno
import os
import signal
import socket

import numpy as np
import pytest
import torch
from PIL import Image

from vitreous.app import run
from vitreous.data import ClassNames, sample
from vitreous.models import HookedViT, HookedViTConfig
from vitreous.terrarium import PREPROCESSING, WORLD_KINDS, render_image, sample_scene


def refused(arguments: list[str], capsys) -> str:
    assert run(arguments) == 2
    printed, line = capsys.readouterr()
    assert printed == ""
    assert line.count("\n") == 1
    return line


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "report.html"


@pytest.fixture(autouse=True)
def no_half_report(out):
    out.parent.mkdir()
    yield
    assert [file.name for file in out.parent.iterdir()] in ([], ["report.html"])
    assert not out.exists() or out.read_text().rstrip().endswith("</html>")


def explained(arguments: list[str], out, capsys) -> tuple[str, str]:
    """What the command says of the image and of the prediction."""
    assert run(["explain", *arguments, "--out", str(out)]) == 0
    image, prediction, report = capsys.readouterr().out.splitlines()
    assert report == f"Report: {out}"
    return image.removeprefix("Image: "), prediction.removeprefix("Prediction: ").split(" (")[0]


def test_without_words_the_cat_and_the_dog_are_explained(out, capsys):
    assert explained([], out, capsys) == ("an orange cat left of a dog on grass", "🐱 cat")
    assert "<dt>target: cat − dog</dt>" in out.read_text()
    assert out.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("name", "image", "answer"),
    [
        ("dog", "a large brown dog on sand", "🐶 dog"),
        ("bird-labeled-fish", 'a large blue bird in the sky with the word "fish"', "🐟 fish"),
    ],
)
def test_a_sample_is_explained_by_its_name(out, capsys, name, image, answer):
    assert explained(["--sample", name], out, capsys) == (image, answer)


@pytest.mark.parametrize("words", [[], ["--sample", "digit"]])
def test_the_model_digits_is_shown_the_handwritten_digit(out, capsys, words):
    shown = explained(["--model", "digits", *words], out, capsys)
    assert shown == ("digit.png", "7️⃣ seven")


def tiny(folder, labels=None):
    """A model of three classes, saved."""
    torch.manual_seed(0)
    config = HookedViTConfig(2, 16, 2, d_mlp=32, image_size=96, patch_size=24,
                             n_classes=len(labels or "abc"))  # fmt: skip
    names = ClassNames(labels) if labels else None
    HookedViT(config, labels=names, preprocessing=PREPROCESSING).save_pretrained(folder)
    return str(folder)


def test_a_model_of_one_s_own_with_the_kinds_as_classes_gets_the_sample_of_the_kinds(
    out, tmp_path, capsys
):
    model = tiny(tmp_path / "mine", WORLD_KINDS)
    image, _ = explained(["--model", model], out, capsys)
    assert image == "an orange cat left of a dog on grass"


@pytest.mark.parametrize("labels", [None, ("tabby", "beagle", "teapot")])
@pytest.mark.parametrize("name", ["cat", "digit"])
def test_a_model_of_other_classes_is_shown_any_sample_by_name(out, tmp_path, capsys, labels, name):
    model = tiny(tmp_path / "mine", labels)
    image, _ = explained(["--model", model, "--sample", name], out, capsys)
    assert image in ("a large orange cat on grass", "digit.png")


def test_a_picture_of_one_s_own_is_explained_by_the_default_model(out, tmp_path, capsys):
    Image.fromarray(render_image(sample_scene("dog"), 150)).save(tmp_path / "rex.png")
    assert explained([str(tmp_path / "rex.png")], out, capsys) == ("rex.png", "🐶 dog")


def test_without_out_the_report_is_in_the_current_folder(out, monkeypatch):
    monkeypatch.chdir(out.parent)
    assert run(["explain"]) == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("minus", "target"), [("cat", "boat − cat"), ("0", "boat − cat"), ("none", "boat")]
)
def test_the_target_is_what_was_asked_for(out, minus, target):
    arguments = ["explain", "--target", "boat", "--minus", minus, "--out", str(out)]
    assert run(arguments) == 0
    assert f"<dt>target: {target}</dt>" in out.read_text()


def test_a_folder_of_references_gives_the_mean_of_its_images(out, tmp_path):
    (tmp_path / "references").mkdir()
    for shade in (0, 100, 200):
        Image.new("L", (8, 8), shade).save(tmp_path / "references" / f"{shade}.png")
    assert run(["explain", "--reference", str(tmp_path / "references"), "--out", str(out)]) == 0
    assert f"the mean over the 3 images in {tmp_path / 'references'}" in out.read_text()


def pictures() -> dict[str, Image.Image]:
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    return {
        "rgba.png": color.convert("RGBA"),
        "sixteen.png": Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16)),
        "cmyk.tif": color.convert("CMYK"),
        "one.png": Image.new("RGB", (1, 1)),
        "wide.png": Image.new("L", (20_000, 100)),
    }


@pytest.mark.parametrize("name", sorted(pictures()))
def test_every_kind_of_still_picture_is_explained(out, tmp_path, name):
    pictures()[name].save(tmp_path / name)
    assert run(["explain", str(tmp_path / name), "--out", str(out)]) == 0


def test_a_folder_of_weights_is_a_model(out, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "--model", tiny(tmp_path / "tiny")]
    assert run(["explain", *arguments, "--out", str(out)]) == 0


# -- Bad input ------------------------------------------------------------------------------------


def test_a_missing_image(out, capsys):
    assert "nowhere.png` must be an image file; got no such file" in refused(
        ["explain", "nowhere.png", "--out", str(out)], capsys
    )


def test_an_unknown_sample(out, capsys):
    line = refused(["explain", "--sample", "cat-in-a-toilet", "--out", str(out)], capsys)
    assert "No sample is named 'cat-in-a-toilet'. Nearest: cat-in-toilet, " in line
    assert "There are: cat-and-dog, cat, dog," in line and line.endswith(", digit.\n")


def test_an_image_together_with_a_sample(out, capsys):
    line = refused(["explain", "a.png", "--sample", "cat", "--out", str(out)], capsys)
    assert "IMAGE or `--sample` must be given, not both; got `a.png` and 'cat'." in line


def test_a_sample_of_the_terrarium_for_the_digits(out, capsys):
    line = refused(["explain", "--model", "digits", "--sample", "cat", "--out", str(out)], capsys)
    assert "`--sample` must go with the model; got 'cat' for `digits`" in line
    assert line.endswith("It goes with: digit.\n")


def test_the_digit_for_a_model_of_the_terrarium(out, capsys):
    line = refused(["explain", "--sample", "digit", "--out", str(out)], capsys)
    assert "got 'digit' for `terrarium-4l`" in line
    assert "It goes with: cat-and-dog, cat, dog, cat-in-toilet," in line


@pytest.mark.parametrize("labels", [None, ("tabby", "beagle", "teapot")])
def test_no_image_for_a_model_of_other_classes(out, tmp_path, capsys, labels):
    model = tiny(tmp_path / "mine", labels)
    line = refused(["explain", "--model", model, "--out", str(out)], capsys)
    assert (
        f"IMAGE must be given where no sample has the model's classes; got none for `{model}`"
        in line
    )
    assert "`--sample`: cat-and-dog, cat, dog," in line


def test_a_text_file_with_the_name_of_an_image(out, tmp_path, capsys):
    (tmp_path / "a.png").write_text("hello")
    assert "got a text file" in refused(
        ["explain", str(tmp_path / "a.png"), "--out", str(out)], capsys
    )


def test_a_damaged_image(out, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(sample("digit").read_bytes()[:-300])
    assert "must be a whole PNG file" in refused(
        ["explain", str(tmp_path / "a.png"), "--out", str(out)], capsys
    )


def test_an_animation(out, tmp_path, capsys):
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "must be one still picture; got 2 frames" in refused(
        ["explain", str(tmp_path / "a.gif"), "--out", str(out)], capsys
    )


def test_an_unknown_model(out, capsys):
    line = refused(["explain", "--model", "digist", "--out", str(out)], capsys)
    assert "No model is named 'digist'. Nearest: digits." in line


def test_an_unknown_class(out, capsys):
    line = refused(["explain", "--target", "catt", "--out", str(out)], capsys)
    assert "No class is named 'catt'. Nearest: cat" in line


@pytest.mark.parametrize("option", ["--target", "--minus"])
def test_a_class_index_beyond_the_head(out, capsys, option):
    line = refused(["explain", option, "35", "--out", str(out)], capsys)
    assert "A class must lie in 0..34; got 35." in line


def test_weights_of_another_shape_name_the_tensor(out, tmp_path, capsys):
    config = HookedViTConfig(4, 64, 4, d_mlp=32, image_size=64, patch_size=8, n_channels=1,
                             n_classes=10)  # fmt: skip
    HookedViT(config).save_pretrained(tmp_path / "narrow")
    weights = str(tmp_path / "narrow" / "model.safetensors")
    line = refused(
        ["explain", "--model", "digits", "--weights", weights, "--out", str(out)], capsys
    )
    assert "blocks.0.mlp" in line
    assert "must have shape" in line


def test_a_missing_folder_of_references(out, capsys):
    assert "must be a folder of images" in refused(
        ["explain", "--reference", "nowhere", "--out", str(out)], capsys
    )


def test_a_timm_model_that_we_cannot_represent_names_its_kind(out, capsys):
    line = refused(["explain", "--model", "timm:resnet18", "--out", str(out)], capsys)
    assert "got a `ResNet`" in line


def test_a_timm_model_without_network_names_the_way_out(out, capsys, monkeypatch):
    def no_network(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    model = "timm:vit_tiny_patch16_224"
    line = refused(["explain", "--model", model, "--out", str(out)], capsys)
    assert "must be downloaded once" in line
    assert "weights=" in line


def test_a_disk_that_fills_up_while_the_report_is_written(out, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in refused(["explain", "--out", str(out)], capsys)
    assert not out.exists()


def test_a_full_disk_leaves_the_report_of_before(out, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out.write_text("<html>before</html>")
    monkeypatch.setattr(os, "fsync", full)
    assert run(["explain", "--out", str(out)]) == 2
    assert out.read_text() == "<html>before</html>"


def test_ctrl_c_while_the_report_is_written(out, monkeypatch, capsys):
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert run(["explain", "--out", str(out)]) == 130
    assert capsys.readouterr() == ("", "Interrupted; nothing was left behind.\n")
    assert not out.exists()


def test_texts_for_a_model_with_classes_are_refused(capsys):
    line = refused(["explain", "--label", "cat"], capsys)
    assert "`--label` is for models of images and texts; got 'cat' for `terrarium-4l`" in line
