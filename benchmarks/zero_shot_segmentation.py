"""How well the shares of patches find the object that a class was said for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score
from torch import Tensor

import vitreous as vt
from benchmarks._results import Rows, write
from benchmarks._spread import in_percent
from vitreous.data import Batch
from vitreous.decomposition import foreground, zero_shot_segmentation
from vitreous.models import HookedViT
from vitreous.terrarium import WORLD_KINDS, Task

MODELS = ("terrarium-2l", "terrarium-4l", "terrarium-4l-mean")
SCENES, RESAMPLES = 10 * len(WORLD_KINDS), 2000
Graded = Float[np.ndarray, "scenes 3"]


@torch.no_grad()
def main() -> None:
    tables: dict[str, Rows] = {}
    images = Task("kinds", "test").images(count=SCENES, masks="objects", batch_size=50)
    batches = list(images)
    title = "{}: {} test scenes, the pixels of the main object; in %, with 95 % over scenes"
    for name in MODELS:
        tables[title.format(name, SCENES)] = [*rows(vt.load(name), batches)]
    write("zero_shot_segmentation", tables, ("scikit-learn",))


def rows(model: HookedViT, batches: list[Batch]) -> Iterator[dict[str, Any]]:
    graded: dict[str, list[Graded]] = {}
    for batch in batches:
        truth = (batch.masks == 0).numpy()
        for name, maps in maps_of(model, batch).items():
            graded.setdefault(name, []).append(grades(maps, truth))
    for name, parts in graded.items():
        values = np.concatenate(parts)
        chance = np.random.default_rng(0)
        picks = chance.integers(len(values), size=(RESAMPLES, len(values)))
        drawn, means = values[picks].mean(1), values.mean(0)
        columns = ("pixel accuracy", "mean IoU", "average precision")
        yield {"map": name} | {
            column: in_percent(means[i], drawn[:, i]) for i, column in enumerate(columns)
        }


def maps_of(model: HookedViT, batch: Batch) -> dict[str, xarray.DataArray]:
    """Scores of patches, of ours and of what anybody would try first."""
    labels = batch.labels.tolist()
    _, cache = model.run_with_cache(batch.pixels)
    lens = vt.logit_lens(model, batch.pixels, positions="patches", cache=cache)["logit"]
    last = torch.from_numpy(lens.isel(layer=-1).values)
    own = last.gather(-1, batch.labels[:, None, None].expand(-1, last.shape[1], 1))[..., 0]
    found = {
        "shares of patches": zero_shot_segmentation(model, batch.pixels, labels, cache=cache),
        "the same, without the other classes": zero_shot_segmentation(
            model, batch.pixels, labels, minus=None, cache=cache
        ),
        "logit lens, last layer": _on_grid(model, own - last.mean(-1)),
    }
    if model.cfg.cls_token:
        attention = cache["pattern", -1][:, :, 0].mean(1)
        found["attention of the class token, last layer"] = _on_grid(model, attention)
    rows, columns = model.cfg.grid
    away = [(torch.arange(n) - (n - 1) / 2).square() for n in (rows, columns)]
    middle = -(away[0][:, None] + away[1]).expand(len(labels), -1, -1)
    found["nearness to the middle"] = _on_grid(model, middle.flatten(1))
    return found


def grades(scores: xarray.DataArray, truth: Bool[np.ndarray, "scenes rows columns"]) -> Graded:
    """Pixel accuracy, mean IoU of object and rest, and average precision of each scene."""
    mask = foreground(scores, size=truth.shape[1:]).values
    values = torch.from_numpy(scores.values)[:, None].double()
    fine = torch.nn.functional.interpolate(values, truth.shape[1:], mode="bilinear")[:, 0].numpy()
    found = []
    for one, said, is_object in zip(mask, fine, truth, strict=True):
        pairs = ((one, is_object), (~one, ~is_object))
        ious = [(a & b).sum() / max((a | b).sum(), 1) for a, b in pairs]
        precision = average_precision_score(is_object.ravel(), said.ravel())
        found.append([(one == is_object).mean(), np.mean(ious), precision])
    return np.array(found)


def _on_grid(model: HookedViT, patches: Float[Tensor, "batch tokens"]) -> xarray.DataArray:
    return xarray.DataArray(
        model.layout.to_grid(patches).detach().numpy(), dims=("image", "row", "column")
    )


if __name__ == "__main__":
    main()
