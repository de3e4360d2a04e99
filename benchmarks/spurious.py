"""What models know without the heads that carry a misleading cue.

`python -m benchmarks.spurious FOLDER ...` grades models in folders, whose cards name them as the
shipped ones, and records nothing.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray

import vitreous as vt
from benchmarks._results import Rows, show, write
from vitreous.data import Images
from vitreous.decomposition import (
    WithoutHeads,
    group_accuracies,
    rank_spurious_heads,
    remove_heads,
)
from vitreous.models import HookedViT, shipped_models
from vitreous.terrarium import Task

MOST, RESAMPLES, DRAWS = 8, 2000, 10


@dataclass(frozen=True)
class Cue:
    """What may mislead a model.

    Attributes:
        task: The task that it was trained on.
        settings: Options of the task, by what the cue is then called; the last one misleads.
        counts: Images of each setting, by split: whole turns, so that labels are equally frequent.
    """

    task: str
    settings: dict[str, dict[str, Any]]
    counts: dict[str, int]

    @property
    def misleading(self) -> str:
        return list(self.settings)[-1]


CUES = {
    "terrarium-spurious": Cue(
        "spurious",
        {"at home": {"rho": 1}, "elsewhere": {"rho": 0}},
        {"validation": 1600, "test": 2400},
    ),
    "terrarium-typographic": Cue(
        "typographic",
        {word: {"word": word} for word in ("matching", "none", "misleading")},
        {"validation": 25 * 35, "test": 60 * 35},
    ),
}


@dataclass(frozen=True)
class Scenes:
    """Images in memory, since they are seen often, and label and cue of each."""

    images: Images
    groups: list[tuple[str, str]]

    @classmethod
    def of(cls, cue: Cue, split: str) -> "Scenes":
        pixels, labels, groups = [], [], []
        for name, options in cue.settings.items():
            task = Task(cue.task, split, **options)
            for batch in task.images(count=cue.counts[split]):
                pixels.append(batch.pixels)
                labels.append(batch.labels)
                groups += [(task.class_names[label], name) for label in batch.labels.tolist()]
        return cls(Images.from_tensor(torch.cat(pixels), torch.cat(labels), batch_size=64), groups)


def main(folders: list[str]) -> None:
    names = folders or [name for name in shipped_models() if name in CUES]
    tables: dict[str, Rows] = {}
    for model in map(vt.load, names):
        tables |= tables_of(model)
    show(tables) if folders else write("spurious", tables)


def tables_of(model: HookedViT) -> dict[str, Rows]:
    name = model.card["name"]
    cue = CUES[name]
    seen, unseen = (Scenes.of(cue, split) for split in ("validation", "test"))
    ranking = rank_spurious_heads(model, seen.images, seen.groups, most=MOST)
    heads = ranking["component"].values[ranking["chosen"].values].tolist()
    groups, total = len(set(unseen.groups)), len(unseen.groups)
    title = (
        f"{name}: {total} test scenes in {groups} groups (label and cue), heads chosen on "
        f"{len(seen.groups)} validation scenes; in %, with the middle 95 % of {RESAMPLES} resamples"
    )
    removals = removal_rows(model, heads, seen, unseen, cue.misleading)
    return {title: [*removals], f"{name}: the heads in order, on validation": [*head_rows(ranking)]}


def removal_rows(
    model: HookedViT, heads: list[str], seen: Scenes, unseen: Scenes, misleading: str
) -> Iterator[dict[str, Any]]:
    """The model itself, without the heads in both ways, and without as many at random."""
    yield _row("none", "-", [_graded(model, unseen)], unseen, misleading)
    for method in ("direct", "ablate"):
        removed = remove_heads(model, heads, seen.images, method=method)
        found = _graded(removed, unseen)
        yield _row(method, " ".join(heads) or "-", [found], unseen, misleading)
    chance, labels = np.random.default_rng(0), model.all_head_labels()
    drawn = [chance.choice(labels, len(heads), replace=False).tolist() for _ in range(DRAWS)]
    found = [_graded(remove_heads(model, draw, seen.images), unseen) for draw in drawn]
    yield _row("direct", f"{len(heads)} at random, {DRAWS} draws", found, unseen, misleading)


def head_rows(ranking: xarray.Dataset) -> Iterator[dict[str, Any]]:
    """What the ranking saw of each head, in its order."""
    for label in ranking["component"].values.tolist():
        step = ranking.sel(component=label)
        place = {"layer": int(step["layer_of"]), "head": int(step["head_of"])}
        yield {
            "head": label,
            "worst group without all so far": _percent(float(step["worst"])),
            "average": _percent(float(step["average"])),
            "chosen": bool(step["chosen"]),
            "share of the cue": _percent(float(ranking["cue_share"].sel(place))),
            "share of the label": _percent(float(ranking["label_share"].sel(place))),
        }


def _graded(model: HookedViT | WithoutHeads, scenes: Scenes) -> xarray.Dataset:
    return group_accuracies(model, scenes.images, scenes.groups)


def _row(
    removal: str, heads: str, found: list[xarray.Dataset], scenes: Scenes, misleading: str
) -> dict[str, Any]:
    """Means over draws, with resamples of images and draws together."""
    is_misled = np.array([cue == misleading for _, cue in scenes.groups])
    worst = [float(each["worst"]) for each in found]
    misled = [float(each["correct"].values[is_misled].mean()) for each in found]
    return {
        "removed": removal,
        "heads": heads,
        "worst group": _with_spread(np.mean(worst), _resampled_worst(found)),
        "misled": _with_spread(np.mean(misled), _resampled(found, is_misled)),
        "all": _percent(np.mean([float(each["average"]) for each in found])),
    }


def _resampled_worst(found: list[xarray.Dataset]) -> np.ndarray:
    chance = np.random.default_rng(1)
    counts = found[0]["count"].values
    times = -(-RESAMPLES // len(found))
    drawn = [
        chance.binomial(counts, each["accuracy"].values, (times, len(counts))) / counts
        for each in found
    ]
    return np.concatenate(drawn).min(1)


def _resampled(found: list[xarray.Dataset], those: np.ndarray) -> np.ndarray:
    chance, count = np.random.default_rng(1), int(those.sum())
    times = -(-RESAMPLES // len(found))
    rates = [each["correct"].values[those].mean() for each in found]
    return np.concatenate([chance.binomial(count, rate, times) / count for rate in rates])


def _with_spread(value: float, drawn: np.ndarray) -> str:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{_percent(value)} ({_percent(low)} .. {_percent(high)})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
