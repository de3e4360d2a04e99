"""Proofs that take longer than the tests may: `make proofs`."""

import hashlib
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import vitreous as vt
from benchmarks._results import write
from vitreous.data import digits
from vitreous.training import RECIPES, accuracy, train


def main() -> None:
    write("proofs", {"Proofs": [*training_rows()]})


def training_rows() -> Iterator[dict[str, Any]]:
    """The shipped digits model, made again from nothing."""
    started = time.perf_counter()
    made = train(RECIPES["digits"])
    seconds = time.perf_counter() - started
    shipped = vt.load("digits")
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder, dtype=torch.float16)
        same = digest(Path(folder)) == digest(vt.models.shipped_folder() / "digits")
    score = accuracy(shipped, digits("test"))
    yield row("digits: test accuracy of the shipped weights", f"{score:.4f}", score > 0.97)
    yield row("digits: trained from nothing", f"{seconds:.0f} s", seconds < 300)
    yield row("digits: trained again, the weights' files are the same", str(same), same)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def row(proof: str, result: str, holds: bool) -> dict[str, Any]:
    return {"proof": proof, "result": result, "holds": "yes" if holds else "NO"}


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
