"""What a lens's maps are worth as a segmentation, against masks."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.lenses._labeled import classes_of
from vitreous.lenses._segmentation import in_order, said_first

Masks = Int[Tensor, "batch *frames rows columns"] | Int[np.ndarray, "batch *frames rows columns"]


def emergent_segmentation_score(
    lens: xarray.Dataset,
    masks: Masks,
    *,
    background: Collection[int] = (),
) -> xarray.Dataset:
    """How well what patches say at each layer draws what there is.

    Each pixel gets what its patch says, and counts once; pixels behind the last patches don't
    count. All images are counted together. Beside the lens stands what must be beaten: what the
    model says of the whole image, said at every patch (`answer_...`).

    Args:
        lens: From `logit_lens` or another lens, with all patches and the readout.
        masks: The class of each pixel, as `task.images(masks="labels")` gives them; or of each
            patch. Negative values are no classes and don't count.
        background: Negative values that count all the same, as places where every class is wrong:
            `(-1,)` for the background of the terrarium's masks.

    Returns:
        By `layer`:
        `mean_iou`: the mean of `iou[layer, label]`, which is (pixels that are the class and are
        called so) / (pixels that are the class or are called so), over the classes that are there
        or are called so; NaN for others.
        `pixel_accuracy`: the share of pixels that are called what they are.
        `mean_average_precision`: the mean of `average_precision[layer, label]`, over classes that
        are there. Pixels are ranked by the probability of the class among those that the lens was
        read for; with `top` classes below the top have none. At each probability, precision counts
        for the recall that was gained there; equal ones count together.
        All lie in [0, 1]. `answer_mean_iou`, `answer_pixel_accuracy` and
        `answer_mean_average_precision` are the same of the readout at the lens's last layer, said
        everywhere; a model without a readout has none.

    Raises:
        ValueError: Masks of another size or number, without a pixel that counts, or with classes
            that the lens wasn't read for.

    References:
        Everingham et al., "The Pascal Visual Object Classes Challenge", 2015, section 4.2
        (intersection over union). Average precision as scikit-learn's `average_precision_score`
        has it: no interpolation.
    """
    patches, _ = in_order(lens)
    truth = _owned(lens, np.asarray(masks), background)
    layers = lens["layer"].values.tolist()
    grades = [_grades(patches.sel(layer=layer), "logit", truth) for layer in layers]
    scores: dict[str, Any] = {name: ("layer", [each[name] for each in grades]) for name in _MEANS}
    if "readout" in lens:
        answer = _grades(lens.sel(layer=max(layers)), "readout", truth)
        scores |= {f"answer_{name}": ((), answer[name]) for name in _MEANS}
    for name in ("iou", "average_precision"):
        scores[name] = (("layer", "label"), np.stack([each[name] for each in grades]))
    names = [lens.attrs["labels"][i] for i in truth.classes]
    coordinates = {"layer": layers, "label": names, "label_index": ("label", truth.classes)}
    about = {name: lens.attrs[name] for name in ("at", "lens", "model")}
    return xarray.Dataset(scores, coordinates, about | {"background": list(background)})


def average_precision(
    scores: Float[np.ndarray, " patches"],
    positive: Int[np.ndarray, " patches"],
    counted: Int[np.ndarray, " patches"],
) -> float:
    """The mean precision over recall, where each patch stands for several pixels.

    Args:
        scores: One for all pixels of a patch; equal ones are taken in together.
        positive: How many pixels of it are what is looked for; one or more in all.
        counted: How many count at all.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    found, taken = (np.cumsum(each[order])[ends] for each in (positive, counted))
    gained = np.diff(found, prepend=0) / found[-1]
    return float((_ratio(found, taken, empty=0) * gained).sum())


_MEANS = ("mean_iou", "pixel_accuracy", "mean_average_precision")


@dataclass(frozen=True)
class _Truth:
    """How many pixels of each patch are what.

    Attributes:
        classes: Indices of the classes that the lens was read for.
        there: Places in `classes` of those that own a pixel.
        owned: Pixels of each of these.
        counted: Pixels of classes, and of the background where that counts.
    """

    classes: Int[np.ndarray, " labels"]
    there: Int[np.ndarray, " owners"]
    owned: Int[np.ndarray, "patches owners"]
    counted: Int[np.ndarray, " patches"]


def _owned(lens: xarray.Dataset, masks: np.ndarray, background: Collection[int]) -> _Truth:
    blocks, classes = _by_patch(lens, masks), classes_of(lens)
    there = np.unique(blocks[blocks >= 0])
    if not len(there):
        raise ValueError(
            "`masks` must show a class somewhere; got none. Make them with "
            "`task.images(masks='labels')`."
        )
    unread = np.setdiff1d(there, classes)
    if len(unread):
        raise ValueError(
            f"`masks` must hold classes that the lens was read for; got {unread[:5].tolist()}. "
            "Read those too, or give their pixels a negative value."
        )
    owned = np.stack([(blocks == label).sum(1) for label in there], 1)
    wrong = np.isin(blocks, [each for each in background if each < 0]).sum(1)
    return _Truth(classes, _places(there, classes), owned, owned.sum(1) + wrong)


def _by_patch(lens: xarray.Dataset, masks: np.ndarray) -> Int[np.ndarray, "patches pixels"]:
    """Patches of all images, one after the other, each with its pixels."""
    if masks.ndim not in (3, 4):
        raise ValueError(
            f"`masks` must be [images, rows, columns]; got shape {list(masks.shape)}. Pass one "
            "class for each pixel."
        )
    (frames, rows, columns), patch = lens.attrs["grid"], lens.attrs["patch_size"]
    n_images = lens.sizes["image"]
    if masks.shape in ((n_images, rows, columns), (n_images, frames, rows, columns)):
        patch = (1, 1, 1)
    masks = masks[:, None] if masks.ndim == 3 else masks
    tubelet, height, width = patch
    covered = (frames * tubelet, rows * height, columns * width)
    margins = [got - own for got, own in zip(masks.shape[1:], covered, strict=True)]
    fits = all(0 <= m < size for m, size in zip(margins, (1, height, width), strict=True))
    if len(masks) != n_images or not fits:
        size = " x ".join(map(str, covered[frames * tubelet == 1 :]))
        raise ValueError(
            f"`masks` must be {n_images} of {size} pixels, one for each image; got shape "
            f"{list(masks.shape)}. Resize them as the images were."
        )
    cut = masks[:, :, : covered[1], : covered[2]]
    parts = cut.reshape(-1, frames, tubelet, rows, height, columns, width)
    return parts.transpose(0, 1, 3, 5, 2, 4, 6).reshape(n_images * frames * rows * columns, -1)


def _grades(read: xarray.Dataset, row: str, truth: _Truth) -> dict[str, Any]:
    """Of what one layer's patches say; or of what its readout says, at each of its patches."""
    said = _places(said_first(read, row).ravel(), truth.classes)
    each = len(truth.counted) // len(said)
    said, n = np.repeat(said, each), len(truth.classes)
    is_right = said[:, None] == truth.there
    both, being = np.zeros(n), np.zeros(n)
    both[truth.there] = (truth.owned * is_right).sum(0)
    being[truth.there] = truth.owned.sum(0)
    called = np.bincount(said, truth.counted, n)
    iou, precision = _ratio(both, being + called - both), np.full(n, np.nan)
    scores = np.repeat(_probabilities(read, row, truth), each, axis=0)
    precision[truth.there] = [
        average_precision(*of_class, truth.counted)
        for of_class in zip(scores.T, truth.owned.T, strict=True)
    ]
    means = np.nanmean(iou), both.sum() / truth.counted.sum(), np.nanmean(precision)
    return {**dict(zip(_MEANS, means, strict=True)), "iou": iou, "average_precision": precision}


def _probabilities(
    read: xarray.Dataset, row: str, truth: _Truth
) -> Float[np.ndarray, "patches owners"]:
    """What each class that is there gets among all that were read; 0 below the top."""
    logits = read[row].to_numpy()
    if "rank" not in read.dims:
        of_classes = torch.from_numpy(logits).softmax(-1).numpy()[..., truth.there]
    else:
        prefix = "" if row == "logit" else "readout_"
        total = read[f"{prefix}log_partition"].to_numpy()[..., None]
        kept, label = np.exp(logits - total), read[f"{prefix}label"].to_numpy()
        there = truth.classes[truth.there]
        of_classes = np.stack([(kept * (label == each)).sum(-1) for each in there], -1)
    return of_classes.reshape(-1, len(truth.there))


def _places(
    labels: Int[np.ndarray, "..."], classes: Int[np.ndarray, " labels"]
) -> Int[np.ndarray, "..."]:
    """Where classes stand in a list of them."""
    order = np.argsort(classes)
    return order[np.searchsorted(classes, labels, sorter=order)]


def _ratio(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), empty, float), where=whole > 0)
