"""What it costs to look inside, against the plain passes: a part of `make bench`."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

import vitreous as vt
from benchmarks._results import Rows, write
from benchmarks._timing import compare
from vitreous.decomposition import clean_up, second_order_shares
from vitreous.models import HookedViTConfig, stream
from vitreous.terrarium import Task

AGAINST_PASSES = "Against the forward passes on the same images: processor's time of one thread"
FITTING = "Fitting a tuned lens, all layers at once"
B16 = HookedViTConfig(
    n_layers=12, d_model=768, n_heads=12, d_mlp=3072, n_classes=1000, image_size=224, patch_size=16
)
ROUNDS = 4
FITTED_SCENES, FITTING_SECONDS = 2048, 120

Work = Callable[[vt.HookedViT, torch.Tensor], object]


def main() -> None:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        against = against_passes()
    torch.set_num_threads(threads)
    write("methods", {AGAINST_PASSES: against, FITTING: [fitting_row("terrarium-4l")]}, ())


def against_passes() -> Rows:
    terrarium, b16 = vt.load("terrarium-4l"), vt.HookedViT(B16).eval()
    large = ("shares by head", *(name for name in WORKS if name.startswith("logit lens")))
    return [
        *rows("terrarium-4l", terrarium, 256, WORKS),
        *rows("ViT-B/16, random", b16, 4, large),
    ]


def shares(by: Any) -> Work:
    return lambda model, images: vt.direct_logit_shares(model, images, asked(model), by=by)


def asked(model: vt.HookedViT) -> Any:
    return model.target(0, minus=1)


WORKS: dict[str, tuple[float | None, Work]] = {
    "logit lens, all layers and tokens": (1.6, vt.logit_lens),
    "logit lens, all layers and tokens, top 5": (
        1.6,
        lambda model, images: vt.logit_lens(model, images, top=5),
    ),
    "shares by head": (1.3, shares("head")),
    "shares by layer": (None, shares("layer")),
    "shares by neuron": (None, shares("neuron")),
    "shares by head and source": (None, shares("head_and_source")),
    "second-order shares": (
        None,
        lambda model, images: second_order_shares(model, images, asked(model)),
    ),
    "clean-up": (None, lambda model, images: clean_up(model, images, asked(model))),
}


def rows(
    name: str, model: vt.HookedViT, n_images: int, works: Iterable[str]
) -> Iterator[dict[str, Any]]:
    images = model.random_inputs(n_images, torch.Generator().manual_seed(0)).to(model.placement)
    for work in works:
        most, ours = WORKS[work]
        found = compare(
            lambda: ours(model, images),  # noqa: B023
            lambda: [model(batch.pixels) for batch in stream(model, images)],
            ROUNDS,
            time.process_time,
        )
        yield found.row(f"{work}, {name}, {n_images} images", "passes", most)


def fitting_row(name: str) -> dict[str, Any]:
    """Of all threads together, so beside other work, too, no less than on a machine alone."""
    seen = Task("kinds", "train").images(count=FITTED_SCENES)[:].pixels
    model, start = vt.load(name), time.process_time()
    lens = vt.TunedLens.fit(model, seen)
    seconds = time.process_time() - start
    return {
        "model": name,
        "images": len(seen),
        "steps": lens.about["plan"]["steps"],
        "seconds of the processor": round(seconds, 1),
        "must be at most": FITTING_SECONDS,
    }


if __name__ == "__main__":
    main()
