"""A long sweep that dies goes on where it stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
import xarray

from tests.patching import killed_sweep
from tests.tiny import images_of, random_model
from vitreous.patching import sweep

ROOT = Path(__file__).parents[2]


def n_done(path: Path) -> int:
    return int(safetensors.torch.load_file(path)["done"].sum()) if path.exists() else 0


def calls_of(monkeypatch) -> list[int]:
    """Grows by one with every value of the target."""
    calls: list[int] = []
    plain = killed_sweep.lead

    def lead(logits):
        calls.append(len(logits))
        return plain(logits)

    lead.__name__, lead.__qualname__ = plain.__name__, plain.__qualname__
    monkeypatch.setattr(killed_sweep, "lead", lead)
    return calls


def test_a_sweep_that_is_killed_resumes_with_the_same_result(tmp_path, monkeypatch):
    path = tmp_path / "sweep.safetensors"
    command = [sys.executable, "-m", "tests.patching.killed_sweep", str(path)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while n_done(path) < 10 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    n_patches, there = 3 * 4 * 7, n_done(path) // 2
    assert 5 <= there < n_patches
    assert [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")] == [
        path.name
    ]
    whole = killed_sweep.swept(None)
    calls = calls_of(monkeypatch)
    resumed = killed_sweep.swept(path)
    xarray.testing.assert_identical(resumed, whole)
    assert len(calls) == 2 + n_patches - there  # two for the halves themselves
    calls.clear()
    xarray.testing.assert_identical(killed_sweep.swept(path), whole)
    assert len(calls) == 2


@pytest.fixture
def model():
    return random_model(n_layers=2)


@pytest.fixture
def halves(model):
    return images_of(model, 2, seed=1), images_of(model, 2, seed=9)


def test_another_batch_size_resumes_the_same_sweep(model, halves, tmp_path):
    path = tmp_path / "sweep"
    one = sweep(model, *halves, 0, path=path, max_batch=1)
    xarray.testing.assert_allclose(sweep(model, *halves, 0, path=path), one, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"over": "mlps"}, "over"),
        ({"direction": "noise"}, "direction"),
        ({"layers": [0]}, "layers"),
        ({"positions": "cls"}, "positions"),
    ],
)
def test_a_file_of_another_question_is_refused(model, halves, tmp_path, changed, what):
    path = tmp_path / "sweep"
    sweep(model, *halves, 0, path=path)
    with pytest.raises(ValueError, match=f"with another {what}: "):
        sweep(model, *halves, 0, path=path, **changed)


def test_a_file_of_another_target_model_or_pair_is_refused(model, halves, tmp_path):
    path = tmp_path / "sweep"
    sweep(model, *halves, 0, path=path)
    with pytest.raises(ValueError, match="with another target"):
        sweep(model, *halves, 1, path=path)
    with pytest.raises(ValueError, match="with another pairs"):
        sweep(model, halves[0], halves[1] + 1, 0, path=path)
    with (
        pytest.raises(ValueError, match="hooks or the target have changed"),
        model.hooks([("blocks.1.hook_mlp_out", lambda x, hook: 2 * x)]),
    ):
        sweep(model, *halves, 0, path=path)
    with torch.no_grad():
        model.head.linear.bias.add_(1)
    with pytest.raises(ValueError, match="with another model"):
        sweep(model, *halves, 0, path=path)


def test_a_file_that_no_sweep_wrote_is_refused_and_kept(model, halves, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ValueError, match="a file that a sweep has written"):
        sweep(model, *halves, 0, path=path)
    assert path.read_text() == "mine"
