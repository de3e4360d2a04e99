"""A training that processes share: what tests/training/test_processes.py launches.

`share_run.py OUT DIES_AT` trains a small recipe; at step `DIES_AT` every process is killed.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from vitreous.data import Images
from vitreous.data._images import Sample
from vitreous.models import HookedViTConfig
from vitreous.training import RECIPES, CsvLog, Plan, RunFolder, cross_entropy, train


def drawn(place: int) -> Sample:
    """A picture that nobody stored: noise from its number."""
    generator = torch.Generator().manual_seed(place)
    return Sample(torch.rand(1, 64, 64, generator=generator), place % 10)


def main(out: Path, dies_at: int) -> None:
    steps = 0

    def loss(model, batch):
        nonlocal steps
        steps += 1
        if steps == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return cross_entropy(model, batch)

    recipe = replace(
        RECIPES["digits"],
        config=HookedViTConfig(
            1, 8, 2, d_head=4, d_mlp=8, image_size=64, patch_size=16, n_channels=1, n_classes=10
        ),
        images=lambda split: Images(drawn, 60),
        plan=Plan(steps=14, batch_size=12, learning_rate=1e-2),
        loss=loss,
    )
    train(recipe, folder=RunFolder(out, every=4), logs=[CsvLog(out / "log.csv")])
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
