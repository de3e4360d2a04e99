"""What the heads of the terrarium's models do: the names that they earn.

`python -m benchmarks.heads NAME ...` measures models or folders, and records nothing.
"""

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import xarray

import vitreous as vt
from benchmarks._results import Rows, show, write
from benchmarks._zoo import KINDS, in_memory, models_of
from vitreous.data import Images, Preprocessing
from vitreous.heads import HEAD_SCORES, motif_identities, name_heads
from vitreous.models import HookedViT
from vitreous.terrarium import WORLD_KINDS, Task

# Whole turns, so that every kind is the main one equally often.
SCENES = 6 * len(WORLD_KINDS)
# What a model was trained for, where that isn't `kinds`.
TASKS = {
    "terrarium-repeats": "repeats",
    "terrarium-spurious": "spurious",
    "terrarium-typographic": "typographic",
}


def main(names: list[str]) -> None:
    models = models_of(names, KINDS | TASKS.keys())
    found = {name: measured(model) for name, model in models.items()}
    tables = {
        f"Names that heads earn (mean of {SCENES} scenes of the validation split)": [
            row for name, scores in found.items() for row in name_rows(name, scores)
        ],
        "The head with the highest score of each kind": [
            row for name, scores in found.items() for row in best_rows(name, scores)
        ],
        "Objects, or the places where objects are? The best foreground head of each model": [
            control_row(name, model, found[name]) for name, model in models.items()
        ],
    }
    show(tables) if names else write("heads", tables, packages=("xarray",))


def measured(model: HookedViT) -> xarray.Dataset:
    name = TASKS.get(model.card["name"], "kinds")
    task = Task(name, "validation")
    shown = motif_identities(task, SCENES, model.layout) if name == "repeats" else None
    images = drawn(name, model.preprocessing)
    return vt.score_heads(model, images, identities=shown).assign_attrs(task=name)


@cache
def drawn(task: str, preprocessing: Preprocessing) -> Images:
    """Scenes of a task with their masks, drawn once for all models."""
    scenes = Task(task, "validation").images(preprocessing, SCENES, masks="objects")
    return in_memory(scenes)


def name_rows(model: str, scores: xarray.Dataset) -> Rows:
    names = name_heads(scores)
    rows = [
        {
            "model": model,
            "task": scores.attrs["task"],
            "head": str(name),
            "spread": told(name.spread),
        }
        for name in names
    ]
    return rows or [{"model": model, "task": scores.attrs["task"], "head": "none", "spread": ""}]


def best_rows(model: str, scores: xarray.Dataset) -> Iterator[dict[str, Any]]:
    for score in (str(each) for each in scores["score"].values):
        found = scores.sel(score=score)
        if HEAD_SCORES[score].title is None or found["mean"].isnull().all():
            continue
        layer, head = np.unravel_index(np.nanargmax(found["mean"]), found["mean"].shape)
        here = found.isel(layer=layer, head=head)
        yield {
            "model": model,
            "score": score,
            "head": f"L{layer}H{head}",
            "mean": told(here["mean"]),
            "spread": told(here["spread"]),
            "best": str(here["best"].values),
        }


def control_row(name: str, model: HookedViT, scores: xarray.Dataset) -> dict[str, Any]:
    """A head that looks where objects use to be finds those of another scene as well."""
    images = drawn(scores.attrs["task"], model.preprocessing)
    others = images[:].masks
    assert others is not None
    moved = vt.score_heads(model, images, scores=["foreground"], masks=others.roll(1, 0))
    best = scores["mean"].sel(score="foreground")
    layer, head = np.unravel_index(np.nanargmax(best), best.shape)
    own, other = (
        each.sel(score="foreground").isel(layer=layer, head=head) for each in (scores, moved)
    )
    return {
        "model": name,
        "head": f"L{layer}H{head}",
        "its own objects": f"{told(own['mean'])} (spread {told(own['spread'])})",
        "another scene's": f"{told(other['mean'])} (spread {told(other['spread'])})",
    }


def told(number: Any) -> str:
    return "" if np.isnan(number) else f"{float(number):.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
