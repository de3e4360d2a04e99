"""How far corruptions leave clean data, and how often the answer goes with them.

`python -m benchmarks.corruptions NAME ...` measures models or folders, and records nothing.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import xarray
from torch import Tensor

import vitreous as vt
from benchmarks._results import Rows, show, write
from benchmarks._spread import share_of
from benchmarks._zoo import in_memory
from vitreous.data import (
    Preprocessing,
    blur_region,
    inpaint_region,
    mean_region,
    noise_region,
    paint_word,
    resample_region,
    shuffle_patches,
    swap_objects,
)
from vitreous.models import HookedViT, without_tokens
from vitreous.patching import CleanActivations, manifold_distance
from vitreous.terrarium import Task, counterfactual_pairs

MODEL = "terrarium-4l"
# Whole turns, so that every kind is the main one equally often.
CLEAN, SCENES = 30 * 35, 4 * 35
PLACES = {"patches": "patches, their mean", "readout": "class token"}


@dataclass(frozen=True)
class Scenes:
    """Test scenes in memory, with the mask of the main object of each."""

    pixels: Tensor
    labels: Tensor
    masks: Tensor

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> "Scenes":
        batch = Task("kinds", "test").images(preprocessing, SCENES, masks="objects")[:]
        assert batch.labels is not None and batch.masks is not None
        return cls(batch.pixels, batch.labels, batch.masks == 0)


Before = Tensor
After = Tensor
Corruption = Callable[[HookedViT, Scenes], tuple[Before, After]]


def main(names: list[str]) -> None:
    tables = {title: rows for name in names or [MODEL] for title, rows in tables_of(name).items()}
    show(tables) if names else write(
        "corruptions", tables, packages=("opencv-python-headless", "scikit-learn")
    )


def tables_of(name: str) -> dict[str, Rows]:
    model = vt.load(name)
    assert model.preprocessing is not None
    validation = in_memory(Task("kinds", "validation").images(model.preprocessing, CLEAN))
    clean = {place: CleanActivations.of(model, validation, positions=place) for place in PLACES}
    scenes = Scenes.of(model.preprocessing)
    title = (
        f"{model.card['name']}: {SCENES} test scenes corrupted; Mahalanobis distance, median, and "
        "in brackets how many are farther than 95 % of clean scenes; clean data are "
        f"{clean['patches'].n_fitted} validation scenes"
    )
    return {title: [*rows_of(model, clean, scenes)]}


def rows_of(
    model: HookedViT, clean: dict[str, CleanActivations], scenes: Scenes
) -> Iterator[dict[str, Any]]:
    for name, corrupt in CORRUPTIONS.items():
        before, after = corrupt(model, scenes)
        changed = (_answers(model, before) != _answers(model, after)).numpy()
        row: dict[str, Any] = {"corruption": name, "another answer, %": share_of(changed)}
        for place, words in PLACES.items():
            found = manifold_distance(model, clean[place], after)
            for layer in (0, model.cfg.n_layers - 1):
                row[f"{words}, layer {layer}"] = _told(found.sel(layer=layer))
            norm = float(found["norm_ratio"][:, -1].median())
            row[f"{words}, norm ratio, last layer"] = f"{norm:.2f}"
        yield row


def _told(found: xarray.Dataset) -> str:
    beyond = float((found["mahalanobis"] > found["clean_mahalanobis_high"]).mean())
    return f"{float(found['mahalanobis'].median()):.1f} ({beyond:.0%})"


def _answers(model: HookedViT, images: Tensor) -> Tensor:
    """Of images, or of streams that enter the first block."""
    start = 0 if images.ndim == 3 else None
    with torch.no_grad():
        each = [model(some, start_at_layer=start).argmax(-1) for some in images.split(70)]
    return torch.cat(each)


def _region(how: Callable[..., Tensor], **options: Any) -> Corruption:
    return lambda model, scenes: (scenes.pixels, how(scenes.pixels, scenes.masks, **options))


def _word(model: HookedViT, scenes: Scenes) -> tuple[Before, After]:
    """The name of the next kind on a label, at the bottom."""
    assert model.labels is not None
    names = list(model.labels)
    words = [names[(label + 1) % len(names)] for label in scenes.labels.tolist()]
    how = model.preprocessing
    return scenes.pixels, paint_word(scenes.pixels, words, height=0.08, preprocessing=how)


def _swap(model: HookedViT, scenes: Scenes) -> tuple[Before, After]:
    """The main object of the next scene in the place of each one's own."""
    others, other_masks = scenes.pixels.roll(-1, 0), scenes.masks.roll(-1, 0)
    return scenes.pixels, swap_objects(scenes.pixels, scenes.masks, others, other_masks)


def _shuffled(model: HookedViT, scenes: Scenes) -> tuple[Before, After]:
    return scenes.pixels, shuffle_patches(scenes.pixels, model.layout.patch_size, seed=0)


def _dropped(at_random: bool) -> Corruption:
    """Without a quarter of the patches: those that the object covers most, or any."""

    def corrupt(model: HookedViT, scenes: Scenes) -> tuple[Before, After]:
        seen = model.layout.coverage(scenes.masks).flatten(1)
        if at_random:
            seen = torch.rand(seen.shape, generator=torch.Generator().manual_seed(0))
        most = seen.topk(model.layout.n_patches // 4, dim=1).indices
        gone = torch.zeros_like(seen, dtype=torch.bool).scatter(1, most, True)
        _, rows, columns = model.layout.grid
        with torch.no_grad():
            masks = gone.unflatten(1, (rows, columns))
            return scenes.pixels, without_tokens(model, scenes.pixels, masks)

    return corrupt


def _counterfactual(cause: Any) -> Corruption:
    def corrupt(model: HookedViT, scenes: Scenes) -> tuple[Before, After]:
        assert model.preprocessing is not None
        pairs = counterfactual_pairs(
            SCENES, cause=cause, task="kinds", preprocessing=model.preprocessing
        )
        return pairs.clean, pairs.corrupt

    return corrupt


CORRUPTIONS: dict[str, Corruption] = {
    "none": lambda model, scenes: (scenes.pixels, scenes.pixels),
    "counterfactual: another kind": _counterfactual("kind"),
    "counterfactual: another setting": _counterfactual("setting"),
    "counterfactual: a word": _counterfactual("text"),
    "counterfactual: two objects change places": _counterfactual("places"),
    "object: swapped for another scene's": _swap,
    "object: inpainted, Telea": _region(inpaint_region),
    "object: inpainted, Navier-Stokes": _region(inpaint_region, method="navier-stokes"),
    "object: pixels of another scene": _region(resample_region, seed=0),
    "object: blurred, sigma 8 pixels": _region(blur_region, sigma=8),
    "object: mean color of the rest": _region(mean_region),
    "object: noise": _region(noise_region, seed=0),
    "object: a quarter of the patches dropped": _dropped(at_random=False),
    "picture: any quarter of the patches dropped": _dropped(at_random=True),
    "picture: patches shuffled": _shuffled,
    "picture: a wrong name painted": _word,
}


if __name__ == "__main__":
    main(sys.argv[1:])
