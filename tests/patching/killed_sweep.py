"""A sweep that takes its time, for `test_resuming.py` to kill."""

import sys
import time
from pathlib import Path

import torch
import xarray
from torch import Tensor

from tests.tiny import images_of, random_model
from vitreous.models import HookedViT
from vitreous.patching import sweep

PAUSE = {"seconds": 0.0}


def lead(logits: Tensor) -> Tensor:
    time.sleep(PAUSE["seconds"])
    return logits[:, 0] - logits[:, 1]


def made() -> tuple[HookedViT, Tensor, Tensor]:
    torch.set_num_threads(1)
    model = random_model()
    return model, images_of(model, 2, seed=1), images_of(model, 2, seed=9)


def swept(path: Path | None) -> xarray.Dataset:
    return sweep(*made(), lead, over="heads_and_positions", path=path, max_batch=2)


if __name__ == "__main__":
    PAUSE["seconds"] = 0.1
    swept(Path(sys.argv[1]))
