"""What it costs to take a prediction apart, against the plain passes: `make bench`."""

import time
from collections.abc import Callable, Iterator
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
    terrarium, b16 = vt.load("terrarium-4l"), vt.HookedViT(B16).eval()
    return [
        *rows("terrarium-4l", terrarium, 256, 5, list(WORKS)),
        *rows("ViT-B/16, random", b16, B16_IMAGES, 3, ["shares by head"]),
    ]


Work = Callable[[vt.HookedViT, torch.Tensor, Any], object]

WORKS: dict[str, tuple[float | None, Work]] = {
    "shares by head": (1.3, lambda *given: vt.direct_logit_shares(*given, by="head")),
    "shares by layer": (None, vt.direct_logit_shares),
    "shares by neuron": (None, lambda *given: vt.direct_logit_shares(*given, by="neuron")),
    "shares by head and source": (
        None,
        lambda *given: vt.direct_logit_shares(*given, by="head_and_source"),
    ),
    "second-order shares": (None, second_order_shares),
    "clean-up": (None, clean_up),
}


def rows(
    name: str, model: vt.HookedViT, count: int, rounds: int, works: list[str]
) -> Iterator[dict[str, Any]]:
    images = model.random_inputs(count, torch.Generator().manual_seed(0)).to(model.placement)
    target = model.target(0, minus=1)
    for work in works:
        most, ours = WORKS[work]
        found = compare(
            lambda: ours(model, images, target),  # noqa: B023
            lambda: passes(model, images),
            rounds,
            time.process_time,
        )
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
