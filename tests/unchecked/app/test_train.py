"""`vitreous train`: a folder that loads, or nothing."""

import os
import re
import signal
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from vitreous._claim import Claim
from vitreous.app import run
from vitreous.models import load
from vitreous.training import RECIPES, find_recipe, new_model
from vitreous.training._trainer import Trainer


@pytest.fixture(autouse=True)
def small_recipe(monkeypatch):
    """A recipe of seconds: the digits model with one thin layer, on few pictures."""
    digits = RECIPES["digits"]
    small = replace(
        digits,
        name="small",
        config=digits.config.replace(n_layers=1, d_model=8, d_head=4, n_heads=2, d_mlp=8),
        images=lambda split: digits.images(split).subset(slice(64)),
    )
    monkeypatch.setitem(RECIPES, "small", small)


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


def interrupted_at(n_steps, monkeypatch):
    """From here on, Ctrl-C is pressed at a step."""
    steps = iter(range(1, 100))
    take_step = Trainer.step

    def step(*arguments):
        if next(steps) == n_steps:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(*arguments)

    monkeypatch.setattr(Trainer, "step", step)


def begun(folder, monkeypatch, *more: str) -> list[str]:
    """A training of four steps that ended at the second; returns its command."""
    command = ["train", "small", "--epochs", "2", "--out", str(folder), *more]
    with monkeypatch.context() as patch:
        interrupted_at(3, patch)
        assert run(command) == 130
    return command


def contents(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_command_goes_on_after_an_interruption(tmp_path, monkeypatch, capsys):
    command = begun(tmp_path / "stopped", monkeypatch)
    assert capsys.readouterr().err.endswith("Interrupted; the same command goes on from there.\n")
    assert run([*command, "--resume"]) == 0
    assert run(["train", "small", "--epochs", "2", "--out", str(tmp_path / "whole")]) == 0
    one, other = (tmp_path / name / "model.safetensors" for name in ("stopped", "whole"))
    assert one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "stopped" / "unfinished.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--seed", "1"], "must hold an unfinished training with seed 1; got 0."),
        (["--epochs", "3"], "must hold an unfinished training with plan.epochs 3; got 2."),
        (["--checkpoints"], "must hold an unfinished training with checkpoints [0, 1, 2]; got []."),
    ],
)
def test_another_training_in_the_folder_is_refused(tmp_path, monkeypatch, capsys, changes, message):
    command = begun(tmp_path / "model", monkeypatch)
    before = contents(tmp_path)
    capsys.readouterr()
    assert run([*command, *changes]) == 2
    assert message in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_another_recipe_in_the_folder_is_refused(tmp_path, monkeypatch, capsys):
    begun(tmp_path / "model", monkeypatch)
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(["train", "digits", "--epochs", "2", "--out", str(tmp_path / "model")]) == 2
    line = capsys.readouterr().err
    assert "must hold an unfinished training with recipe 'digits'; got 'small'." in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "other"])
def test_a_corrupt_state_is_refused_in_one_line(tmp_path, monkeypatch, capsys, harm):
    command = begun(tmp_path / "model", monkeypatch)
    state = tmp_path / "model" / "unfinished.safetensors"
    whole = state.read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    other = safetensors.torch.save({"a": torch.zeros(1)})
    harmed = {"cut": whole[:-100], "flipped": flipped, "emptied": b"", "other": other}
    state.write_bytes(harmed[harm])
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(command) == 2
    line = capsys.readouterr().err
    assert f"`{state}` must be a whole checkpoint of a training; it can't be read (" in line
    assert line.count("\n") == 1
    assert contents(tmp_path) == before


def test_a_state_that_is_a_broken_link_is_no_fresh_start(tmp_path, monkeypatch, capsys):
    command = begun(tmp_path / "model", monkeypatch)
    state = tmp_path / "model" / "unfinished.safetensors"
    state.unlink()
    state.symlink_to(tmp_path / "gone")
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(command) == 2
    assert f"`{state}` must be a whole checkpoint of a training; it" in capsys.readouterr().err
    assert contents(tmp_path) == before and state.is_symlink()


def test_a_log_that_is_not_ours_is_refused(tmp_path, monkeypatch, capsys):
    command = begun(tmp_path / "model", monkeypatch)
    (tmp_path / "model" / "log.csv").write_text("mine\n1\n")
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(command) == 2
    assert "must be the log of a training; got other columns" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_resuming_needs_something_to_resume(tmp_path, capsys):
    assert run(["train", "small", "--resume", "--out", str(tmp_path / "model")]) == 2
    assert "must hold an unfinished training to go on with `--resume`; got none." in (
        capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def finished(folder, *more: str) -> list[str]:
    """A training that has ended; returns its command."""
    command = ["train", "small", "--epochs", "1", "--out", str(folder), *more]
    assert run(command) == 0
    return command


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_the_command_of_a_finished_training_says_so_and_changes_nothing(tmp_path, capsys, more):
    command = finished(tmp_path / "model")
    said, before = capsys.readouterr().out, contents(tmp_path)
    assert run([*command, *more]) == 0
    assert capsys.readouterr().out == f"Finished before.\n{said}"
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--seed", "1"], "or hold a training with seed 1; got 0, finished. Choose another path."),
        (["--epochs", "3"], "or hold a training with steps 6; got 2, finished."),
        (["--checkpoints"], "or hold a training with checkpoints [0, 1]; got [], finished."),
    ],
)
def test_another_training_than_the_finished_one_is_refused(tmp_path, capsys, changes, message):
    command = finished(tmp_path / "model")
    before = contents(tmp_path)
    capsys.readouterr()
    assert run([*command, *changes]) == 2
    assert f"`{tmp_path / 'model'}` must be new or empty, {message}" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_another_recipe_than_the_finished_one_is_refused(tmp_path, capsys):
    finished(tmp_path / "model")
    capsys.readouterr()
    assert run(["train", "digits", "--epochs", "1", "--out", str(tmp_path / "model")]) == 2
    assert "a training with recipe 'digits'; got 'small', finished." in capsys.readouterr().err


def test_a_finished_training_whose_weights_are_broken_is_not_trained_over(tmp_path, capsys):
    command = finished(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"torn")
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(command) == 2
    assert "`model.safetensors` must be a whole safetensors file" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("is_begun", [False, True])
def test_two_at_once_in_a_folder_are_one_too_many(tmp_path, monkeypatch, capsys, is_begun):
    folder = tmp_path / "model"
    command = ["train", "small", "--epochs", "2", "--out", str(folder)]
    if is_begun:
        begun(folder, monkeypatch)
    with Claim(folder):  # as another process that trains there has
        before = contents(tmp_path)
        capsys.readouterr()
        assert run(command) == 2
        printed, line = capsys.readouterr()
        assert contents(tmp_path) == before
    assert printed == "" and line.count("\n") == 1
    assert f"`{folder}` must be written by one process at a time; got another one at work" in line
    assert run(command) == 0


def test_what_a_kill_leaves_of_a_claim_is_no_obstacle(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / ".lock").touch()
    finished(folder)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("thing", ["notes.txt", "config.json", "log.csv"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys, thing):
    (tmp_path / thing).write_text("{}")
    assert run(["train", "small", "--epochs", "1", "--out", str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert "must be new or empty, or hold an unfinished training; got" in line
    assert f"got `{thing}` in it." in line
    assert contents(tmp_path) == {str(tmp_path / thing): b"{}"}


def test_a_model_needs_a_folder_around_its_own(tmp_path, capsys):
    (tmp_path / "file").touch()
    for place, message in (
        ("file", "must be a folder; got a file."),
        ("file/model", f"must lie in a folder; got no `{tmp_path / 'file'}`."),
        ("no/model", f"must lie in a folder; got no `{tmp_path / 'no'}`."),
    ):
        assert run(["train", "small", "--epochs", "1", "--out", str(tmp_path / place)]) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_seed_beyond_what_torch_takes_is_refused(tmp_path, capsys):
    command = ["train", "small", "--seed", str(1 << 63), "--out", str(tmp_path / "model")]
    assert run(command) == 2
    assert f"`seed` must be a whole number in 0..{(1 << 63) - 1}; got" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_first_state_is_no_obstacle(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / ".unfinished.safetensors.x1.part").write_bytes(b"torn")
    assert run(["train", "small", "--epochs", "1", "--out", str(folder)]) == 0
    assert not list(folder.glob(".*"))


def test_checkpoints_are_kept_and_load(tmp_path):
    folder = tmp_path / "model"
    assert run(["train", "small", "--epochs", "2", "--checkpoints", "--out", str(folder)]) == 0
    untrained = new_model(find_recipe("small"), seed=0)
    first = load(folder, checkpoint=0)
    assert torch.equal(first.W_Q, untrained.W_Q.half().float())
    assert not torch.equal(load(folder, checkpoint=2).W_Q, first.W_Q)
    assert torch.equal(load(folder, checkpoint=4).W_Q, load(folder).W_Q)


def test_steps_may_stand_for_epochs(tmp_path):
    assert run(["train", "small", "--steps", "3", "--out", str(tmp_path / "model")]) == 0
    assert load(tmp_path / "model").card["steps"] == 3
    assert len((tmp_path / "model" / "log.csv").read_text().splitlines()) == 3


def test_steps_and_epochs_together_are_refused(tmp_path, capsys):
    command = ["train", "small", "--steps", "3", "--epochs", "1", "--out", str(tmp_path / "m")]
    assert run(command) == 2
    assert "A plan must have either `epochs` or `steps`; got 1 and 3." in capsys.readouterr().err


def test_the_recipes_are_listed(capsys):
    assert run(["train", "--list"]) == 0
    assert re.search(r"^digits +scikit-learn's handwritten", capsys.readouterr().out, re.MULTILINE)


def test_an_unknown_log_gets_the_nearest(tmp_path, capsys):
    command = ["train", "small", "--log", "tensorbord", "--out", str(tmp_path / "model")]
    assert run(command) == 2
    assert "No log is named 'tensorbord'. Nearest: tensorboard." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_log_that_is_not_installed_names_its_extra(tmp_path, capsys, monkeypatch, kind):
    monkeypatch.setitem(sys.modules, kind, None)
    command = ["train", "small", "--log", kind, "--out", str(tmp_path / "model")]
    assert run(command) == 2
    line = capsys.readouterr().err
    assert f"`--log {kind}` needs {kind}, which is not installed" in line
    assert "vitreous[log]" in line
    assert list(tmp_path.iterdir()) == []


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
