"""What the patch lens of each model says of scenes, and what there is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

import vitreous as vt
from benchmarks._segmentation import Maps, Truth, owners
from vitreous.lenses import segmentation
from vitreous.models import HookedViT
from vitreous.terrarium import PREPROCESSING, WORLD_KINDS, Rendering, Task

SCENES_AT_ONCE = 70


@dataclass(frozen=True)
class LensMaps:
    """One model on some scenes, patch by patch.

    Attributes:
        layers: What the logit lens reads, by layer; -1 is the embedding.
        answer: What the model says of the whole picture, said at every patch.
        truth: What there is.
    """

    layers: dict[int, Maps]
    answer: Maps
    truth: Truth


def read_lenses(models: Mapping[str, HookedViT], split: str, n_scenes: int) -> dict[str, LensMaps]:
    """Runs all models on the first scenes of a split, each of which is drawn once."""
    parts: dict[str, list[LensMaps]] = {name: [] for name in models}
    for scenes in _drawn(Task("kinds", split), n_scenes):
        pixels = torch.cat([PREPROCESSING(made.image) for made in scenes])
        for name, model in models.items():
            parts[name].append(_read(model, scenes, pixels))
    return {name: _joined(each) for name, each in parts.items()}


def _drawn(task: Task, n_scenes: int) -> Iterator[list[Rendering]]:
    for start in range(0, n_scenes, SCENES_AT_ONCE):
        stop = min(start + SCENES_AT_ONCE, n_scenes)
        yield [task.rendering(place) for place in range(start, stop)]


def _read(
    model: HookedViT, scenes: list[Rendering], pixels: Float[Tensor, "batch 3 rows columns"]
) -> LensMaps:
    logits, cache = model.run_with_cache(pixels)
    answers = logits.argmax(-1).numpy()[:, None]
    lens = vt.logit_lens(model, pixels, positions="patches", cache=cache)
    layers = {int(layer): _maps(lens, int(layer), answers) for layer in lens["layer"]}
    shape = layers[-1].kinds.shape
    everywhere = Maps(np.broadcast_to(answers, shape), np.ones(shape))
    return LensMaps(layers, everywhere, _truth(scenes, model.cfg.grid))


def _maps(lens: xarray.Dataset, layer: int, answers: Int[np.ndarray, "scenes 1"]) -> Maps:
    logits = torch.from_numpy(lens["logit"].sel(layer=layer).to_numpy())
    of_answer = np.take_along_axis(logits.softmax(-1).numpy(), answers[:, :, None], axis=-1)
    kinds = segmentation(lens, layer).to_numpy()
    return Maps(kinds.reshape(len(kinds), -1), of_answer[:, :, 0])


def _truth(scenes: list[Rendering], grid: tuple[int, int]) -> Truth:
    kinds = [[WORLD_KINDS.index(thing.kind) for thing in made.scene.objects] for made in scenes]
    owned = [owners(made.coverage(*grid), of) for made, of in zip(scenes, kinds, strict=True)]
    return Truth(np.stack(owned), np.array([of[0] for of in kinds]))


def _joined(parts: list[LensMaps]) -> LensMaps:
    truth = Truth(
        np.concatenate([part.truth.owners for part in parts]),
        np.concatenate([part.truth.main for part in parts]),
    )
    layers = {layer: _stacked([part.layers[layer] for part in parts]) for layer in parts[0].layers}
    return LensMaps(layers, _stacked([part.answer for part in parts]), truth)


def _stacked(parts: list[Maps]) -> Maps:
    return Maps(
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.of_answer for part in parts]),
    )
