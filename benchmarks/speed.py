"""Vitreous against the libraries that models come from, on the same weights: `make bench`."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch

import vitreous as vt
from benchmarks._results import write
from benchmarks._speed_sources import DEPTH, SOURCES
from benchmarks._timing import compare, process_seconds

B16, B32 = "vit_base_patch16_224", "vit_base_patch32_224"
AGAINST_TIMM = "Vitreous against timm, on the same weights"
FAMILIES = "A model of each family against its source: processor's time of one thread"
PACKAGES = ("timm", "transformers", "open-clip-torch", "torchvision")
RESID_POST_5 = "blocks.5.hook_resid_post"


def main() -> None:
    torch.manual_seed(0)
    write("speed", {AGAINST_TIMM: list(rows()), FAMILIES: list(family_rows())}, PACKAGES)


@torch.no_grad()
def rows() -> Iterator[dict[str, Any]]:
    for name in (B16, B32):
        source, model = pair(name)
        for batch in (1, 8):
            images = torch.randn(batch, 3, 224, 224)
            found = compare(lambda: model(images), lambda: source(images), 41 if batch == 1 else 15)  # noqa: B023
            yield found.row(f"forward, {short(name)}, batch {batch}", "source", 1.05)
    yield from cache_rows(*pair(B16))
    yield from start_up_rows()


@torch.no_grad()
def family_rows() -> Iterator[dict[str, Any]]:
    """The plain forward pass, of as many blocks as suffice to tell."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for family, make in SOURCES.items():
        source = make()
        model = vt.from_module(source.module.eval(), tower=source.tower)
        inputs = model.random_inputs(1, torch.Generator().manual_seed(0))
        found = compare(lambda: model(inputs), lambda: source.run(inputs), 21, time.process_time)  # noqa: B023
        yield found.row(f"forward, {family}, {DEPTH} blocks, batch 1", "source", 1.05)
    torch.set_num_threads(threads)


def cache_rows(source: Any, model: vt.HookedViT) -> Iterator[dict[str, Any]]:
    images = torch.randn(4, 3, 224, 224)
    found = compare(lambda: model.run_with_cache(images), lambda: source(images), 21)
    yield found.row("run_with_cache, every default name readable, B/16, batch 4", "source", 1.25)
    stopped = compare(
        lambda: model.run_with_cache(images, names_filter=RESID_POST_5, return_type=None),
        lambda: source(images),
        21,
    )
    yield stopped.row(
        "run_with_cache(resid_post 5 of 12, return_type=None), B/16, batch 4", "source", 0.55
    )
    held = model.run_with_cache(images)[1].nbytes
    stored = model.run_with_cache(images, names_filter=model.hook_names(on_demand=False))[1]
    full = sum(value.numel() * value.element_size() for value in stored.values())
    yield {
        "work": f"bytes held by that cache, against {full / 1e6:.0f} MB for every default name",
        "ratio": round(held / full, 3),
        "quartiles": "",
        "ours": f"{held / 1e6:.0f} MB",
        "source": "",
        "must be at most": 0.45,
    }


def start_up_rows() -> Iterator[dict[str, Any]]:
    python = sys.executable
    bare = process_seconds([python, "-c", "pass"], 15)
    imported = process_seconds([python, "-c", "import vitreous"], 15) - bare
    command = str(Path(python).with_name("vitreous"))
    helped = process_seconds([command, "--help"], 9)
    for work, seconds, limit in (
        ("import vitreous, beyond starting Python", imported, 0.05),
        ("vitreous --help", helped, 0.5),
    ):
        yield {
            "work": work,
            "ratio": "",
            "quartiles": "",
            "ours": f"{seconds:.3f} s",
            "source": "",
            "must be at most": f"{limit} s",
        }


def pair(name: str) -> tuple[Any, vt.HookedViT]:
    """A timm model with random weights, and the same as a `HookedViT`."""
    source = timm.create_model(name, pretrained=False).eval()
    return source, vt.from_module(source)


def short(name: str) -> str:
    return {B16: "B/16", B32: "B/32"}[name]


if __name__ == "__main__":
    main()
