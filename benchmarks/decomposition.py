"""What it costs to take a prediction apart, against the plain passes: `make bench`."""

import time
from collections.abc import Iterator
from typing import Any

import torch

import vitreous as vt
from benchmarks._results import Rows, write
from benchmarks._timing import compare
from vitreous.decomposition import clean_up, second_order_shares
from vitreous.models import HookedViTConfig, stream

TITLE = "Against the forward passes on the same images, in the same batches: processor's time"
B16 = HookedViTConfig(
    n_layers=12, d_model=768, n_heads=12, d_mlp=3072, n_classes=1000, image_size=224, patch_size=16
)
B16_IMAGES = 8


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    write("decomposition", {TITLE: table()}, ())


@torch.no_grad()
def table() -> Rows:
    return [
        *rows("terrarium-4l", vt.load("terrarium-4l"), 256, 7),
        *rows("ViT-B/16, random", vt.HookedViT(B16).eval(), B16_IMAGES, 3),
    ]


def rows(name: str, model: vt.HookedViT, count: int, rounds: int) -> Iterator[dict[str, Any]]:
    images = model.random_inputs(count, torch.Generator().manual_seed(0)).to(model.placement)
    target = model.target(0, minus=1)
    works = {
        "shares by head": (1.3, lambda: vt.direct_logit_shares(model, images, target, by="head")),
        "shares by layer": (None, lambda: vt.direct_logit_shares(model, images, target)),
        "shares by neuron": (
            None,
            lambda: vt.direct_logit_shares(model, images, target, by="neuron"),
        ),
        "shares by head and source": (
            None,
            lambda: vt.direct_logit_shares(model, images, target, by="head_and_source"),
        ),
        "second-order shares": (None, lambda: second_order_shares(model, images, target)),
        "clean-up": (None, lambda: clean_up(model, images, target)),
    }
    for work, (most, ours) in works.items():
        found = compare(ours, lambda: passes(model, images), rounds, time.process_time)
        yield {
            "work": f"{work}, {name}, {count} images",
            "ratio": round(found.ratio, 2),
            "quartiles": f"{found.spread[0]:.2f} to {found.spread[1]:.2f}",
            "ours": f"{found.ours:.2f} s",
            "passes": f"{found.theirs:.2f} s",
            "must be at most": "" if most is None else most,
        }


def passes(model: vt.HookedViT, images: torch.Tensor) -> list[torch.Tensor]:
    return [model(batch.pixels) for batch in stream(model, images)]


if __name__ == "__main__":
    main()
