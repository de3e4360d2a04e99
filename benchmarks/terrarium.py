"""How good the models of the terrarium are: `make grades`.

`python -m benchmarks.terrarium FOLDER ...` grades models in folders, and records nothing.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from benchmarks._lens_maps import LensMaps, read_lenses
from benchmarks._results import Rows, show, write
from benchmarks._segmentation import Counts, Grades, chance, count
from benchmarks._spread import percent
from benchmarks._zoo import KINDS, STANDARD, models_of
from vitreous.models import HookedViT, HookedViTConfig
from vitreous.terrarium import WORLD_KINDS

SPLITS = STANDARD.tests
N_KINDS = len(WORLD_KINDS)
# Whole turns, so that every kind is the main one equally often.
CHOOSING_SCENES, GRADED_SCENES = 30 * N_KINDS, 60 * N_KINDS
SHOWN_BY_LAYER = ("terrarium-4l", "terrarium-4l-mean")

Ranks = dict[str, Int[np.ndarray, " scenes"]]
"""By model, how many kinds each scene's own kind stands behind."""


def main(folders: list[str]) -> None:
    models = models_of(folders, KINDS)
    with torch.no_grad():
        tables = {
            **accuracy_tables(models),
            **segmentation_tables(models),
        }
    show(tables) if folders else write("terrarium", tables)


# -- Accuracy


def accuracy_tables(models: Mapping[str, HookedViT]) -> dict[str, Rows]:
    ranks = {split: ranks_in(split, models) for split in SPLITS}
    scenes = len(next(iter(ranks["test"].values())))
    tables = {
        f"Accuracy by depth: top 1 | top 5, in % of {scenes} scenes of the test split": [
            *depth_rows(models, ranks["test"])
        ],
        f"Accuracy: top 1, in % of {scenes} scenes of each split": [*split_rows(models, ranks)],
    }
    if set(models) >= KINDS:
        tables["What must hold"] = [*checks(models, ranks)]
    return tables


def ranks_in(split: str, models: Mapping[str, HookedViT]) -> Ranks:
    """Runs all models on each picture of a split, which is drawn once."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in models}
    for batch in STANDARD.images(split):
        for name, model in models.items():
            logits = model(batch.pixels)
            own = logits.gather(1, batch.labels[:, None])
            found[name].append((logits > own).sum(1))
    return {name: torch.cat(each).numpy() for name, each in found.items()}


def depth_rows(models: Mapping[str, HookedViT], ranks: Ranks) -> Iterator[dict[str, Any]]:
    """As Prisma presents its models: a row per size, with MLPs and without."""
    by_shape: dict[str, dict[bool, str]] = {}
    for name, model in sorted(models.items(), key=lambda item: item[1].cfg.n_layers):
        found = f"{percent((ranks[name] < 1).mean())} | {percent((ranks[name] < 5).mean())}"
        by_shape.setdefault(shape(model.cfg), {})[model.cfg.attn_only] = found
    by_shape["chance"] = dict.fromkeys(
        (False, True), f"{percent(1 / N_KINDS)} | {percent(5 / N_KINDS)}"
    )
    for layers, found in by_shape.items():
        yield {
            "layers": layers,
            "attention and MLP": found.get(False, ""),
            "attention only": found.get(True, ""),
        }


def shape(cfg: HookedViTConfig) -> str:
    rows, columns = cfg.grid
    grid = "" if cfg.grid == STANDARD.config.grid else f", {rows} x {columns} grid"
    return f"{cfg.n_layers}{grid}{', mean-pooled' if cfg.pooling.kind == 'mean' else ''}"


def split_rows(
    models: Mapping[str, HookedViT], ranks: dict[str, Ranks]
) -> Iterator[dict[str, Any]]:
    for name, model in models.items():
        parameters = sum(each.numel() for each in model.parameters())
        right = {split: percent((ranks[split][name] < 1).mean()) for split in SPLITS}
        yield {"model": name, "parameters": f"{parameters:,}", **right}
    yield {"model": "chance", "parameters": "", **dict.fromkeys(SPLITS, percent(1 / N_KINDS))}


def checks(models: Mapping[str, HookedViT], ranks: dict[str, Ranks]) -> Iterator[dict[str, Any]]:
    right = {name: each < 1 for name, each in ranks["test"].items()}
    fewest = min(len(each) for split in ranks.values() for each in split.values())
    yield check("every split has at least 5000 scenes", f"{fewest}", fewest >= 5000)
    best = right["terrarium-4l"]
    bound = 196 * math.sqrt(best.mean() * (1 - best.mean()) / len(best))
    found = f"{percent(best.mean())} ± {bound:.1f} %"
    yield check("terrarium-4l: at least 90 % of the test split", found, best.mean() >= 0.9)
    for ending in ("", "-attn"):
        yield beats(right, f"terrarium-4l{ending}", f"terrarium-1l{ending}")
    for depth in (1, 2, 3, 4):
        yield beats(right, f"terrarium-{depth}l", f"terrarium-{depth}l-attn")
    minutes = models["terrarium-4l"].card["training_seconds"] / 60
    yield check("terrarium-4l: trained in at most 25 minutes", f"{minutes:.0f}", minutes <= 25)
    differing = [name for name, model in models.items() if told(model) != measured(name, ranks)]
    found = ", ".join(differing) or "all do"
    yield check("cards tell the accuracy that is measured", found, not differing)


def beats(right: dict[str, Bool[np.ndarray, " scenes"]], one: str, other: str) -> dict[str, Any]:
    """Whether one model is better than another beyond chance, scene by scene."""
    lead = right[one].astype(float) - right[other]
    bound = 1.96 * lead.std() / math.sqrt(len(lead))
    found = f"by {100 * lead.mean():.1f} ± {100 * bound:.1f} points"
    return check(f"{one} beats {other}", found, lead.mean() > bound)


def told(model: HookedViT) -> dict[str, Any]:
    return {split: model.card["tests"][split] for split in SPLITS}


def measured(name: str, ranks: dict[str, Ranks]) -> dict[str, Any]:
    hits = {split: ranks[split][name] < 1 for split in SPLITS}
    return {
        split: {"images": len(each), "accuracy": round(int(each.sum()) / len(each), 4)}
        for split, each in hits.items()
    }


def check(what: str, found: str, holds: bool) -> dict[str, Any]:
    return {"what": what, "found": found, "holds": "yes" if holds else "NO"}


# -- Emergent segmentation


def segmentation_tables(models: Mapping[str, HookedViT]) -> dict[str, Rows]:
    choosing = read_lenses(models, "validation", CHOOSING_SCENES)
    graded = read_lenses(models, "test", GRADED_SCENES)
    shown = [name for name in SHOWN_BY_LAYER if name in models]
    title = f"Patch lens against exact masks, in % ({GRADED_SCENES} scenes of the test split"
    return {
        f"{title}; the best layer of the validation split)": [
            row
            for name in models
            for row in map_rows(name, graded[name], best_layer(choosing[name]))
        ],
        f"{title}; every layer)": [
            grades_row(name, f"lens, layer {layer}", count(maps, graded[name].truth, N_KINDS))
            for name in shown
            for layer, maps in graded[name].layers.items()
        ],
    }


def best_layer(found: LensMaps) -> int:
    """The layer with the highest mean IoU among patches of objects."""

    def iou(layer: int) -> float:
        return count(found.layers[layer], found.truth, N_KINDS).grades().iou

    return max(found.layers, key=iou)


def map_rows(name: str, found: LensMaps, layer: int) -> Iterator[dict[str, Any]]:
    maps, truth = found.layers[layer], found.truth
    yield grades_row(name, f"lens, layer {layer}", count(maps, truth, N_KINDS))
    yield grades_row(name, "its answer everywhere", count(found.answer, truth, N_KINDS))
    yield grades_row(name, "lens of another scene", chance(maps, truth, N_KINDS))


def grades_row(name: str, what: str, found: Counts | Grades) -> dict[str, Any]:
    if isinstance(found, Counts):
        bounds = zip(*map(astuple, found.interval()), strict=True)
        cells = [
            f"{percent(value)} ± {percent((high - low) / 2)}"
            for value, (low, high) in zip(astuple(found.grades()), bounds, strict=True)
        ]
    else:
        cells = [percent(value) for value in astuple(found)]
    columns = ("main object", "distractors", "mean IoU", "mean IoU with background", "figure")
    return {"model": name, "map": what, **dict(zip(columns, cells, strict=True))}


if __name__ == "__main__":
    main(sys.argv[1:])
