"""What discovering a circuit costs, in passes of the same model: `make bench`."""

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import torch

import vitreous as vt
from benchmarks._results import write
from benchmarks._timing import compare

TIME = "Discovery on a ViT-B/16, against passes of the same model: processor's time of one thread"
MEMORY = "Memory beyond the model's: the largest of a process, with freed tensors given back"
BATCHES = (1, 4)


def main() -> None:
    # Memory first: a process begins with the largest size of the one that started it.
    memory = [memory_row(batch) for batch in BATCHES]
    write("circuits", {TIME: [time_row()], MEMORY: memory}, ())


def time_row() -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, (clean, corrupt) = vit_b(), pair(1)

    def passes() -> None:
        forward(model, clean)
        for _ in range(2):
            backward(model, clean)

    found = compare(lambda: vt.discover(model, clean, corrupt, 0), passes, 9, time.process_time)
    torch.set_num_threads(threads)
    return found.row("EAP, one pair", "3 forward + 2 backward", 1.0)


def memory_row(batch: int) -> dict[str, Any]:
    ours, theirs = (measured(kind, batch) for kind in ("eap", "backward"))
    return {
        "work": f"EAP, {batch} pairs at once",
        "ratio": round(ours / theirs, 3),
        "ours": f"{ours:.0f} MB",
        "one backward pass": f"{theirs:.0f} MB",
        "must be at most": 1.5,
    }


def measured(kind: str, batch: int) -> float:
    """Megabytes that a process of its own needs for a piece of work, beyond a first forward pass.

    Small blocks go back to the system when they are freed, so that its largest size is what
    tensors held, not what an allocator kept.
    """
    command = [sys.executable, "-m", "benchmarks.circuits", kind, str(batch)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return float(json.loads(done.stdout))


def measure(kind: str, batch: int) -> None:
    """Prints what the process grew by; for `measured`."""
    model, (clean, corrupt) = vit_b(), pair(batch)
    find = vt.discover  # what it imports is none of its work
    forward(model, clean[:1])
    before = largest()
    if kind == "eap":
        find(model, clean, corrupt, 0)
    else:
        backward(model, clean)
    print(largest() - before)


def largest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def vit_b() -> vt.HookedViT:
    torch.manual_seed(0)
    shape = {"n_layers": 12, "d_model": 768, "n_heads": 12, "d_mlp": 3072, "n_classes": 1000}
    return vt.HookedViT(vt.HookedViTConfig(**shape, image_size=(224, 224), patch_size=16)).eval()


def pair(batch: int) -> torch.Tensor:
    return torch.randn(2, batch, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def forward(model: vt.HookedViT, images: torch.Tensor) -> None:
    model(images)


def backward(model: vt.HookedViT, images: torch.Tensor) -> None:
    """Forth and back to the pixels, without gradients of parameters."""
    model.requires_grad_(False)
    inputs = images.clone().requires_grad_()
    torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)
    model.requires_grad_(True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
