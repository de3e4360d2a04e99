"""A training that is killed at any moment ends as if it had not been."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def trained(out: Path, *, seed: int, n_kills: int) -> int:
    """Runs a small recipe that is killed up to `n_kills` times; returns how often it was."""
    ran = subprocess.run(
        [sys.executable, ROOT / "tests/training/kill_runs.py", out, str(seed), str(n_kills)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert trained(out, seed=0, n_kills=0) == 0
    return out


def weights(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.rglob("*.safetensors"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows(folder: Path) -> list[list[str]]:
    """The log without its clock."""
    return [row[:-1] for row in csv.reader((folder / "log.csv").read_text().splitlines())]


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_moments_change_no_bit(undisturbed, tmp_path, seed):
    out = tmp_path / "killed"
    assert trained(out, seed=seed, n_kills=10) > 3
    assert weights(out) == weights(undisturbed)
    assert rows(out) == rows(undisturbed)
    assert {path.name for path in out.rglob("*")} == {path.name for path in undisturbed.rglob("*")}


def test_a_finished_training_leaves_the_model_its_log_and_its_checkpoints(undisturbed):
    assert sorted(path.name for path in undisturbed.iterdir()) == [
        "checkpoints",
        "config.json",
        "log.csv",
        "means.safetensors",
        "model.safetensors",
    ]
    steps = {path.stem for path in (undisturbed / "checkpoints").iterdir()}
    assert steps == {"0", "1", "3", "7", "14"}
    assert [row[0] for row in rows(undisturbed)] == ["step", "10", "20", "29"]
