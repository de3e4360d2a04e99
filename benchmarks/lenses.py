"""Three lenses on the models of the terrarium: a part of `make grades`.

`python -m benchmarks.lenses FOLDER ...` grades models in folders, and records nothing.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import xarray

from benchmarks._results import show, write
from benchmarks._spread import mean_and_error
from benchmarks._zoo import KINDS, models_of
from vitreous.data import Images
from vitreous.lenses import JacobianLens, TunedLens, compare_lenses
from vitreous.models import HookedViT
from vitreous.terrarium import WORLD_KINDS, Task

N_FITTED, N_AVERAGED = 2048, 32
# Parts of whole turns, in which every kind is the main one equally often.
N_PARTS, SCENES_PER_PART = 4, 3 * len(WORLD_KINDS)
SHOWN_BY_LAYER = ("terrarium-4l", "terrarium-4l-attn", "terrarium-4l-mean")
Lens = TunedLens | JacobianLens | None

SHOWN = {
    "KL, nats": "kl",
    "rank": "rank",
    "causal cosine": "causal_cosine",
    "IoU, %": "mean_iou",
    "accuracy, %": "pixel_accuracy",
    "mAP, %": "mean_average_precision",
}


def main(folders: list[str]) -> None:
    models = models_of(folders, KINDS)
    seen, parts = drawn()
    graded = {name: graded_lenses(model, seen, parts) for name, model in models.items()}
    sets = f"sets of {SCENES_PER_PART} scenes of the test split"
    tables = {
        f"Emergent segmentation: IoU in %, mean ± standard error over {N_PARTS - 1} {sets}; in "
        "brackets the layer that was best on another one": [
            best_row(name, each) for name, each in graded.items()
        ],
        **{
            f"{name}: every lens at every layer, mean ± standard error over {N_PARTS} {sets}": [
                *rows(graded[name])
            ]
            for name in SHOWN_BY_LAYER
            if name in graded
        },
    }
    show(tables) if folders else write("lenses", tables, ("xarray",))


def graded_lenses(model: HookedViT, seen: torch.Tensor, parts: list[Images]) -> xarray.Dataset:
    lenses = fitted(model, seen)
    return xarray.concat([compare_lenses(model, part, lenses) for part in parts], "part")


def drawn() -> tuple[torch.Tensor, list[Images]]:
    """Scenes to fit to, and others to grade with, each drawn once."""
    seen = Task("kinds", "train").images(count=N_FITTED)[:].pixels
    count = N_PARTS * SCENES_PER_PART
    scenes = Task("kinds", "test").images(masks="labels", count=count)
    starts = range(0, count, SCENES_PER_PART)
    parts = [scenes[start : start + SCENES_PER_PART] for start in starts]
    return seen, [Images.from_tensor(part.pixels, part.labels, part.masks) for part in parts]


def fitted(model: HookedViT, seen: torch.Tensor) -> dict[str, Lens]:
    return {
        "logit": None,
        "tuned": TunedLens.fit(model, seen),
        "jacobian": JacobianLens.fit(model, seen[:N_AVERAGED]),
    }


def best_row(name: str, graded: xarray.Dataset) -> dict[str, Any]:
    """The layer is chosen on the first set, and graded on the others."""
    iou = graded["mean_iou"]
    best = iou.isel(part=0).idxmax("layer")
    others = iou.isel(part=slice(1, None))
    found = {
        str(lens): f"{told(others.sel(lens=lens, layer=best.sel(lens=lens)).values, 'IoU, %')} "
        f"({int(best.sel(lens=lens))})"
        for lens in graded["lens"].values
    }
    answer = graded["answer_mean_iou"].isel(lens=0, part=slice(1, None))
    return {"model": name, **found, "the answer, everywhere": told(answer.values, "IoU, %")}


def told(values: np.ndarray, title: str) -> str:
    return mean_and_error(100 * values, 1) if title.endswith("%") else mean_and_error(values, 3)


def rows(graded: xarray.Dataset) -> Iterator[dict[str, Any]]:
    for lens in graded["lens"].values:
        for layer in graded["layer"].values:
            at = graded.sel(lens=lens, layer=layer)
            found = {title: told(at[name].values, title) for title, name in SHOWN.items()}
            yield {"lens": lens, "layer": int(layer), **found}
    answers = graded.isel(lens=0)
    yield {
        "lens": "the answer, everywhere",
        "layer": "",
        **dict.fromkeys(SHOWN, ""),
        **{
            title: told(answers[f"answer_{name}"].values, title)
            for title, name in SHOWN.items()
            if title.endswith("%")
        },
    }


if __name__ == "__main__":
    main(sys.argv[1:])
