"""Several processes learn what one would have learned."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vitreous._claim import Claim
from vitreous.models import load

ROOT = Path(__file__).parents[2]
LAUNCH = ["-m", "accelerate.commands.launch", "--num_machines=1", "--mixed_precision=no"]
# `--multi_gpu` is Accelerate's word for processes of its own; where they find no GPU, or may use
# none, they talk through gloo. Its `--cpu` would start one process.
SEVERAL = ["--multi_gpu", "--main_process_port=0"]


def trained(out: Path, n_processes: int, dies_at: int = 0) -> subprocess.CompletedProcess[str]:
    launch = [*LAUNCH, f"--num_processes={n_processes}", "--num_cpu_threads_per_process=1"]
    launch += SEVERAL if n_processes > 1 else []
    script = [str(ROOT / "tests/training/share_run.py"), str(out), str(dies_at)]
    return subprocess.run(
        [sys.executable, *launch, *script],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "shared"
    ran = trained(out, 2)
    assert ran.returncode == 0, ran.stderr
    return out


def losses_of(out: Path) -> list[float]:
    lines = (out / "log.csv").read_text().splitlines()
    return [float(row["loss"]) for row in csv.DictReader(lines)]


def test_two_processes_train_the_model_of_one_up_to_rounding(shared, tmp_path):
    alone = trained(tmp_path / "alone", 1)
    assert alone.returncode == 0, alone.stderr
    # Not weight by weight: the softmax is blind to the key bias, so Adam blows rounding up there.
    pictures = torch.rand(5, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, two = (load(out)(pictures) for out in (tmp_path / "alone", shared))
    torch.testing.assert_close(two, one, atol=2e-3, rtol=0)
    assert one.std() > 0.1
    losses = [losses_of(out) for out in (tmp_path / "alone", shared)]
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_two_processes_that_were_killed_go_on_to_the_same_bits_and_one_does_not(shared, tmp_path):
    out = tmp_path / "killed"
    assert trained(out, 2, dies_at=11).returncode != 0
    state = (out / "unfinished.safetensors").read_bytes()
    ran = trained(out, 1)
    assert ran.returncode != 0
    assert "must hold an unfinished training with processes 1; got 2" in ran.stderr
    assert (out / "unfinished.safetensors").read_bytes() == state
    ran = trained(out, 2)
    assert ran.returncode == 0, ran.stderr
    assert (out / "model.safetensors").read_bytes() == (shared / "model.safetensors").read_bytes()


def test_processes_that_come_second_are_all_refused_and_change_nothing(tmp_path):
    out = tmp_path / "taken"
    with Claim(out):  # as another training has
        ran = trained(out, 2)
        assert [path.name for path in out.iterdir()] == [".lock"]
    assert ran.returncode != 0
    refused = "must be written by one process at a time; got another one at work there"
    assert ran.stderr.count(f"BlockingIOError: `{out}` {refused}") == 2
