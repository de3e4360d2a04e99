"""Logs that outlive a restart."""

import sys
from types import ModuleType

import pytest

from vitreous.training import CsvLog, Progress, Start, TensorBoardLog, WandbLog

HEADER = "step,epoch,loss,learning_rate,seconds"


def row(step: int) -> Progress:
    return Progress(step, step // 20, 1 / step, 0.5, 0.25)


def test_a_table_has_a_row_each(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.start(Start("run", 20, None))
    log.write(row(10))
    assert (tmp_path / "log.csv").read_text() == f"{HEADER}\n10,0,0.1,0.5,0.25\n"  # at once
    log.close()


def test_a_restart_drops_what_comes_again_and_what_was_torn(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"{HEADER}\n10,0,1,1,1\n20,1,1,1,1\n30,1,1,1,1\n4")
    log = CsvLog(path)
    log.start(Start("run", 40, 20))
    log.write(row(30))
    log.close()
    steps = [line.partition(",")[0] for line in path.read_text().splitlines()]
    assert steps == ["step", "10", "20", "30"]


@pytest.mark.parametrize("left", [None, "", "step,ep"])
def test_a_restart_begins_a_table_that_had_no_first_line(tmp_path, left):
    path = tmp_path / "log.csv"
    if left is not None:
        path.write_text(left)
    log = CsvLog(path)
    log.start(Start("run", 40, 0))
    log.close()
    assert path.read_text() == f"{HEADER}\n"


def test_a_new_training_overwrites_no_table(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("precious")
    with pytest.raises(OSError, match=r"log.csv` must be new; got a file"):
        CsvLog(path).start(Start("run", 40, None))
    assert path.read_text() == "precious"


class Recorded:
    """Stands for an object of another library: notes every call."""

    def __init__(self) -> None:
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_tensorboard_hides_what_comes_again(tmp_path, monkeypatch):
    writer, opened = Recorded(), []
    board = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = lambda *args, **kwargs: opened.append((args, kwargs)) or writer
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    log = TensorBoardLog(tmp_path)
    log.start(Start("run", 40, 20))
    log.write(row(30))
    log.flush()
    log.close()
    assert opened == [((str(tmp_path),), {"purge_step": 21})]
    assert [call[0] for call in writer.calls] == ["add_scalar", "add_scalar", "flush", "close"]
    assert writer.calls[0][1] == ("loss", 1 / 30, 30)


def test_a_wandb_run_goes_on_under_its_name(tmp_path, monkeypatch):
    run, opened = Recorded(), []
    wandb = ModuleType("wandb")
    wandb.init = lambda **kwargs: opened.append(kwargs) or run
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log = WandbLog(tmp_path / "small" / "wandb")
    log.start(Start("abc", 40, 20))
    log.write(row(30))
    log.flush()
    log.close()
    assert (opened[0]["id"], opened[0]["name"], opened[0]["resume"]) == ("abc", "small", "allow")
    assert run.calls[0] == ("define_metric", ("*",), {"step_metric": "step"})
    assert run.calls[1][1][0]["step"] == 30
    assert run.calls[2][0] == "finish"
