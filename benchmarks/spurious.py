"""What models know without the heads that carry a misleading cue.

`python -m benchmarks.spurious FOLDER ...` grades models in folders, whose cards name them as the
shipped ones, and records nothing.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import xarray

from benchmarks._results import Rows, show, write
from benchmarks._spread import in_percent, percent
from benchmarks._zoo import models_of
from vitreous.data import Images
from vitreous.decomposition import (
    WithoutHeads,
    group_accuracies,
    rank_spurious_heads,
    remove_heads,
)
from vitreous.models import HookedViT
from vitreous.terrarium import Task

MOST, TRIES, RESAMPLES, DRAWS = 6, 3, 2000, 3


Method = Literal["direct", "ablate"]
METHODS: tuple[Method, ...] = ("direct", "ablate")


@dataclass(frozen=True)
class Cue:
    """What may mislead a model.

    Attributes:
        task: The task that it was trained on.
        settings: Options of the task, by what the cue is then called.
        counts: Images of each setting, by split: whole turns, so that labels are equally frequent.
        absent: The setting without the cue, whose mean removed heads then say, if there is one.
    """

    task: str
    settings: dict[str, dict[str, Any]]
    counts: dict[str, int]
    absent: str | None = None


CUES = {
    "terrarium-spurious": Cue(
        "spurious",
        {"at home": {"rho": 1}, "elsewhere": {"rho": 0}},
        {"validation": 320, "test": 800},
    ),
    "terrarium-typographic": Cue(
        "typographic",
        {word: {"word": word} for word in ("matching", "none", "misleading")},
        {"validation": 5 * 35, "test": 20 * 35},
        absent="none",
    ),
}


@dataclass(frozen=True)
class Scenes:
    """Images in memory, since they are seen often, and label and cue of each."""

    images: Images
    groups: list[tuple[str, str]]
    reference: Images

    @property
    def cues(self) -> list[str]:
        return [cue for _, cue in self.groups]

    @classmethod
    def of(cls, cue: Cue, split: str) -> "Scenes":
        pixels, labels, groups = [], [], []
        for name, options in cue.settings.items():
            task = Task(cue.task, split, **options)
            for batch in task.images(count=cue.counts[split]):
                pixels.append(batch.pixels)
                labels.append(batch.labels)
                groups += [(task.class_names[label], name) for label in batch.labels.tolist()]
        everything, truth = torch.cat(pixels), torch.cat(labels)
        usual = torch.tensor([cue.absent in (None, name) for _, name in groups])
        images, reference = (
            Images.from_tensor(everything[rows], truth[rows], batch_size=64)
            for rows in (slice(None), usual)
        )
        return cls(images, groups, reference)


def main(folders: list[str]) -> None:
    tables: dict[str, Rows] = {}
    for model in models_of(folders, CUES).values():
        tables |= tables_of(model)
    show(tables) if folders else write("spurious", tables)


def tables_of(model: HookedViT) -> dict[str, Rows]:
    name = model.card["name"]
    cue = CUES[name]
    seen, unseen = (Scenes.of(cue, split) for split in ("validation", "test"))
    rankings: dict[Method, xarray.Dataset] = {each: ranked(model, seen, each) for each in METHODS}
    usual = f"scenes of '{cue.absent}'" if cue.absent else "all of them"
    title = (
        f"{name}: {len(unseen.groups)} test scenes in {len(set(unseen.groups))} groups (label and "
        f"cue); heads chosen by cue on {len(seen.groups)} validation scenes, and exchanged for "
        f"their mean over {usual}; in %, with the middle 95 % of {RESAMPLES} resamples"
    )
    tables = {title: [*removal_rows(model, rankings, seen, unseen, cue)]}
    for method, ranking in rankings.items():
        tables[f"{name}: the heads in order, on validation, {method}"] = [*head_rows(ranking)]
    return tables


def ranked(model: HookedViT, seen: Scenes, method: Method) -> xarray.Dataset:
    """By cue alone: label and cue together leave too few scenes in a group."""
    options = {"most": MOST, "tries": TRIES, "reference": seen.reference}
    return rank_spurious_heads(model, seen.images, seen.cues, method=method, **options)


def removal_rows(
    model: HookedViT,
    rankings: dict[Method, xarray.Dataset],
    seen: Scenes,
    unseen: Scenes,
    cue: Cue,
) -> Iterator[dict[str, Any]]:
    """The model itself, without the heads found in both ways, and without as many at random."""
    yield _row("none", "-", [_graded(model, unseen)], unseen, cue)
    for method, ranking in rankings.items():
        heads = ranking["component"].values[ranking["chosen"].values].tolist()
        removed = remove_heads(model, heads, seen.reference, method=method)
        yield _row(method, " ".join(heads) or "-", [_graded(removed, unseen)], unseen, cue)
    chance, labels = np.random.default_rng(0), model.all_head_labels()
    count = int(rankings["ablate"]["chosen"].sum())
    drawn = [chance.choice(labels, count, replace=False).tolist() for _ in range(DRAWS)]
    removals = [remove_heads(model, draw, seen.reference, method="ablate") for draw in drawn]
    found = [_graded(removed, unseen) for removed in removals]
    yield _row("ablate", f"{count} at random, {DRAWS} draws", found, unseen, cue)


def head_rows(ranking: xarray.Dataset) -> Iterator[dict[str, Any]]:
    """What the ranking saw of each head, in its order."""
    for label in ranking["component"].values.tolist():
        step = ranking.sel(component=label)
        place = {"layer": int(step["layer_of"]), "head": int(step["head_of"])}
        yield {
            "head": label,
            "worst cue without all so far": percent(float(step["worst"])),
            "average": percent(float(step["average"])),
            "chosen": bool(step["chosen"]),
            "share of the cue": percent(float(ranking["cue_share"].sel(place))),
            "share of the label": percent(float(ranking["label_share"].sel(place))),
        }


def _graded(model: HookedViT | WithoutHeads, scenes: Scenes) -> xarray.Dataset:
    return group_accuracies(model, scenes.images, scenes.groups)


def _row(
    removal: str, heads: str, found: list[xarray.Dataset], scenes: Scenes, cue: Cue
) -> dict[str, Any]:
    """Means over draws, with resamples of images and draws together."""
    worst = np.mean([float(each["worst"]) for each in found])
    row = {"removed": removal, "heads": heads}
    row["worst group"] = in_percent(worst, _resampled_worst(found))
    for name in cue.settings:
        those = np.array([name == each for each in scenes.cues])
        right = np.mean([each["correct"].values[those].mean() for each in found])
        row[name] = in_percent(right, _resampled(found, those))
    return row


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


if __name__ == "__main__":
    main(sys.argv[1:])
