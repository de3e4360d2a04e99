"""Three lenses on the models of the terrarium, and how long the tuned one takes to fit.

`python -m benchmarks.lenses FOLDER ...` grades models in folders, and records nothing.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
import xarray

import vitreous as vt
from benchmarks._results import Rows, show, write
from vitreous.data import Images
from vitreous.lenses import JacobianLens, TunedLens, compare_lenses
from vitreous.models import HookedViT, shipped_models
from vitreous.terrarium import WORLD_KINDS, Task
from vitreous.training import RECIPES

ZOO = {name for name in RECIPES if name.startswith("terrarium-")}
N_FITTED, N_AVERAGED = 2048, 64
# Parts of whole turns, in which every kind is the main one equally often.
N_PARTS, SCENES_PER_PART = 4, 6 * len(WORLD_KINDS)
SECONDS_ALLOWED = 120
SHOWN = {
    "KL, nats": "kl",
    "rank": "rank",
    "causal cosine": "causal_cosine",
    "IoU, %": "mean_iou",
    "accuracy, %": "pixel_accuracy",
    "mAP, %": "mean_average_precision",
}


def main(folders: list[str]) -> None:
    torch.set_num_threads(2)
    names = folders or [name for name in shipped_models() if name in ZOO]
    models = {model.card["name"]: model for model in map(vt.load, names)}
    seen, parts = drawn()
    tables: dict[str, Rows] = {"Fitting a tuned lens": []}
    for name, model in models.items():
        lenses, row = fitted(model, seen)
        tables["Fitting a tuned lens"].append({"model": name, **row})
        graded = [compare_lenses(model, part, lenses) for part in parts]
        title = (
            f"{name}: mean ± standard error over {N_PARTS} sets of {SCENES_PER_PART} scenes of "
            "the test split"
        )
        tables[title] = [*rows(xarray.concat(graded, "part"))]
    show(tables) if folders else write("lenses", tables)


def drawn() -> tuple[torch.Tensor, list[Images]]:
    """Scenes to fit to, and others to grade with, each drawn once."""
    seen = torch.cat([batch.pixels for batch in Task("kinds", "train").images(count=N_FITTED)])
    scenes = Task("kinds", "test").images(masks="labels", count=N_PARTS * SCENES_PER_PART)
    parts = [
        scenes[start : start + SCENES_PER_PART]
        for start in range(0, N_PARTS * SCENES_PER_PART, SCENES_PER_PART)
    ]
    return seen, [Images.from_tensor(part.pixels, part.labels, part.masks) for part in parts]


def fitted(
    model: HookedViT, seen: torch.Tensor
) -> tuple[dict[str, TunedLens | JacobianLens | None], dict[str, Any]]:
    """The three lenses, the tuned one with each way to fit patches; and what that took."""
    wall, work = time.perf_counter(), time.process_time()
    tuned = TunedLens.fit(model, seen)
    wall, work = time.perf_counter() - wall, time.process_time() - work
    lenses = {
        "logit": None,
        "tuned": tuned,
        **{
            f"tuned, toward '{each}'": TunedLens.fit(model, seen, toward=each)
            for each in _others(model)
        },
        "jacobian": JacobianLens.fit(model, seen[:N_AVERAGED]),
    }
    row = {
        "steps": tuned.about["plan"]["steps"],
        "images": len(seen),
        "seconds of both processors": f"{work:.0f}",
        "seconds, beside other work": f"{wall:.0f}",
        "loss, nats": f"{tuned.about['loss']:.3f}",
        f"in {SECONDS_ALLOWED} s on 2 processors": "yes" if work <= SECONDS_ALLOWED else "NO",
    }
    return lenses, row


def _others(model: HookedViT) -> list[Literal["own", "image"]]:
    """The other thing that patches can be fitted to than what is the default."""
    return ["own"] if model.cfg.pooling.kind == "cls" else ["image"]


def rows(graded: xarray.Dataset) -> Iterator[dict[str, Any]]:
    for lens in graded["lens"].values:
        for layer in graded["layer"].values:
            at = graded.sel(lens=lens, layer=layer)
            found = {title: _spread(at[name].values, title) for title, name in SHOWN.items()}
            yield {"lens": lens, "layer": int(layer), **found}
    answers = graded.isel(lens=0)
    yield {
        "lens": "the answer, everywhere",
        "layer": "",
        **dict.fromkeys(SHOWN, ""),
        **{
            title: _spread(answers[f"answer_{name}"].values, title)
            for title, name in SHOWN.items()
            if title.endswith("%")
        },
    }


def _spread(values: np.ndarray, title: str) -> str:
    factor, digits = (100, 1) if title.endswith("%") else (1, 3)
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{factor * values.mean():.{digits}f} ± {factor * error:.{digits}f}"


if __name__ == "__main__":
    main(sys.argv[1:])
