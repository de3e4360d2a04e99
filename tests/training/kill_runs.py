"""A training that is killed again and again: what tests/training/test_resume.py starts.

`python kill_runs.py OUT SEED N_KILLS` trains a small recipe in one forked process after another.
Each is killed by SIGKILL, in turn after a random time and at a random event: within a step, or
before or after any change of a file. The last may finish. Prints how often it came to a kill.
"""

import os
import random
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import accelerate  # noqa: F401  (here, so that no fork has to)
import torch
from torch.nn import functional

from vitreous.data import Images
from vitreous.data._images import Sample
from vitreous.models import HookedViTConfig
from vitreous.training import RECIPES, CsvLog, Plan, Recipe, RunFolder, cross_entropy, train

CHANGES = ("replace", "fsync", "unlink", "mkdir", "rename")


class Fuse:
    """Counts events, and at one of them ends the process as `kill -9` does."""

    def __init__(self, at: int | None) -> None:
        self.at, self.count = at, 0

    def burn(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function):
        def fused(*args, **kwargs):
            self.burn()
            result = function(*args, **kwargs)
            self.burn()
            return result

        return fused


def drawn(place: int) -> Sample:
    """A picture that nobody stored: noise from its number."""
    generator = torch.Generator().manual_seed(place)
    return Sample(torch.rand(1, 64, 64, generator=generator), place % 10)


def small_recipe(fuse: Fuse) -> Recipe:
    digits = RECIPES["digits"]

    def loss(model, batch):
        dropped = replace(batch, pixels=functional.dropout(batch.pixels, 0.1))
        fuse.burn()
        return cross_entropy(model, dropped)

    return replace(
        digits,
        name="small",
        config=HookedViTConfig(
            1, 8, 2, d_head=4, d_mlp=8, image_size=64, patch_size=16, n_channels=1, n_classes=10
        ),
        images=lambda split: Images(drawn, 100),
        plan=Plan(steps=29, batch_size=10, learning_rate=1e-2),
        loss=loss,
    )


def run(out: Path, kill_at: int | None = None) -> int:
    """One training, from its beginning or wherever it was; returns how many events it had."""
    fuse = Fuse(kill_at)
    for name in CHANGES:
        setattr(os, name, fuse.around(getattr(os, name)))
    log, folder = CsvLog(out / "log.csv"), RunFolder(out, every=4)
    train(small_recipe(fuse), seed=5, folder=folder, checkpoints=True, logs=[log])
    return fuse.count


def killed(out: Path, *, event: int | None = None, seconds: float = 0.0) -> bool:
    """One training in a process that is killed at an event or after a time, if it lasts so long."""
    child = os.fork()
    if child == 0:
        try:
            run(out, event)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.setitimer(signal.ITIMER_REAL, 0)
    if code not in (0, -signal.SIGKILL):
        sys.exit(code)
    return code != 0


def is_finished(out: Path) -> bool:
    return (out / "config.json").exists() and not RunFolder(out).is_unfinished


def main(out: Path, seed: int, n_kills: int) -> None:
    chance, kills = random.Random(seed), 0
    while not is_finished(out):
        event, seconds = chance.randint(1, 60), chance.uniform(0.05, 0.6)
        if kills == n_kills:
            killed(out)
        else:
            kills += killed(out, seconds=seconds) if kills % 2 else killed(out, event=event)
    sys.stdout.write(f"{kills}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
