"""`vitreous train`: a folder that loads, or nothing."""

import os
import signal
from dataclasses import replace

import pytest
from safetensors import SafetensorError

import vitreous.training._recipes as recipes
from vitreous.app import run
from vitreous.models import load


@pytest.fixture(autouse=True)
def small_recipe(monkeypatch):
    """A recipe of seconds: the digits model with one thin layer, on few pictures."""
    digits = recipes.RECIPES["digits"]
    small = replace(
        digits,
        name="small",
        config=digits.config.replace(n_layers=1, d_model=8, d_head=4, n_heads=2, d_mlp=8),
        images=lambda split: digits.images(split).subset(slice(64)),
    )
    monkeypatch.setitem(recipes.RECIPES, "small", small)


def test_a_trained_model_loads_with_its_card_and_means(tmp_path, capsys):
    folder = tmp_path / "model"
    arguments = ["train", "small", "--epochs", "1", "--seed", "3", "--out", str(folder)]
    assert run(arguments) == 0
    assert f"Model: {folder}" in capsys.readouterr().out
    model = load(folder)
    assert (model.card["seed"], model.card["epochs"], model.card["steps"]) == (3, 1, 2)
    assert model.means is not None
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_the_recipe_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "small", "--epochs", "1"]) == 0
    assert (tmp_path / "small" / "model.safetensors").exists()


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        assert run(["train", "small", "--epochs", "1", "--out", str(tmp_path / name)]) == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_an_unknown_recipe_gets_the_nearest(tmp_path, capsys):
    assert run(["train", "digts", "--out", str(tmp_path / "model")]) == 2
    assert "No recipe is named 'digts'. Nearest: digits." in capsys.readouterr().err


def test_ctrl_c_while_the_model_is_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert run(["train", "small", "--epochs", "1", "--out", str(tmp_path / "model")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_the_model_is_written(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    assert run(["train", "small", "--epochs", "1", "--out", str(tmp_path / "model")]) == 2
    assert "must be writable; got 'No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
