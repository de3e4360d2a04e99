"""Which layers matter directly: accuracy without what the first of them say."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Batch, Images
from vitreous.decomposition._classes import (
    Classifier,
    class_logits,
    require_classes,
    require_one_each,
    true_labels,
)
from vitreous.models import (
    HookedViT,
    OutputReading,
    Target,
    as_numbers,
    image_tower,
    output_points,
    require_finite,
    stream,
)

Of = Literal["attn", "mlp"]


class _Run(NamedTuple):
    """Some images: what comes out, and how much of it each layer says directly."""

    batch: Batch
    outputs: Float[Tensor, "batch labels"]
    said: Float[Tensor, "batch layers labels"]


def mean_ablation_curve(
    model: Classifier,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    target: Target | Any = None,
    *,
    of: Of = "attn",
    labels: Sequence[int] | Int[Tensor, " images"] | None = None,
    reference: Float[Tensor, "_ *_"] | Images | None = None,
) -> xarray.Dataset:
    """Replaces what the first layers say directly by its mean, layer after layer.

    Only the direct effect: what the layers wrote stays in the stream for those behind them, and
    their part of the final sum is exchanged, with norms and pooling held as in the run. No pass is
    repeated. Goes through the reference once, then through the images.

    Args:
        model: A `HookedViT` with a head, or a `ZeroShotClassifier`.
        images: Preprocessed images, or `vt.data.Images`, which are streamed.
        target: From `model.target(...)`, or what that takes; None when only accuracy is asked for.
            A list, one per image, is not possible here.
        of: Whether the attentions or the MLPs.
        labels: The class of each image, where `images` don't carry it; with neither, no accuracy.
        reference: Whose mean; None means that of `images`.

    Returns:
        By `layer`, the last one whose part was replaced, -1 for none (then logits are the model's
        own): `accuracy[layer]`, `correct[image, layer]` and, with a target, `value[image, layer]`
        in units of the output. Of a model that compares embeddings, the changed sum is divided by
        its own length.

    Raises:
        ValueError: Neither labels nor a target, MLPs of a model without, or no images.
        TypeError: A model without classes.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, section 3.2. Departs from it: any pooling; biases stay.
    """
    require_classes(model)
    tower = image_tower(model)
    if of not in ("attn", "mlp") or (of == "mlp" and tower.cfg.attn_only):
        got = "an attention-only model" if of == "mlp" else repr(of)
        raise ValueError(f"`of` must be 'attn' or 'mlp', and there; got {got}. Pass the other.")
    require_one_each("labels", labels, len(images))
    if target is None and labels is None and not isinstance(images, Images):
        raise ValueError("A target or labels must be given; got neither. Pass one of them.")
    asked = None if target is None else model.target(target)
    mean = _mean(tower, images if reference is None else reference, of)
    values, correct = [], []
    for run in _runs(tower, images, of):
        gone = (run.said - mean.to(run.said)).cumsum(1)
        outputs = torch.cat([run.outputs[:, None], run.outputs[:, None] - gone], 1)
        if asked is not None:
            values.append(asked(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2]))
        if labels is not None or run.batch.labels is not None or asked is None:
            truth = true_labels(labels, run.batch)
            correct.append(class_logits(model, outputs).argmax(-1) == truth[:, None])
    return _labeled(values, correct, tower.cfg.n_layers, asked, of)


def _runs(model: HookedViT, images: Tensor | Images, of: Of) -> Iterator[_Run]:
    kinds = ["mlp"] if of == "mlp" else [names.attn for names in model.blocks[0].attentions]
    by_layer = [
        [f"blocks.{layer}.hook_{kind}_out" for kind in kinds] for layer in range(model.cfg.n_layers)
    ]
    names = [*(name for layer in by_layer for name in layer), *output_points(model)]
    for batch in stream(model, images):
        with torch.no_grad():
            outputs, cache = model.run_with_cache(batch.pixels, names_filter=names)
            reading = OutputReading(cache)
            said = [
                torch.stack([reading(cache.at(name, reading.tokens)) for name in layer]).sum(0)
                for layer in by_layer
            ]
        yield _Run(batch, require_finite(outputs, "logits"), torch.stack(said, 1))


def _mean(model: HookedViT, reference: Tensor | Images, of: Of) -> Float[Tensor, "layers labels"]:
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for run in _runs(model, reference, of):
        total, count = total + run.said.double().sum(0).cpu(), count + len(run.said)
    return total / count


def _labeled(
    values: list[Tensor], correct: list[Tensor], n_layers: int, target: Target | None, of: Of
) -> xarray.Dataset:
    found = xarray.Dataset(coords={"layer": range(-1, n_layers)}, attrs={"of": of})
    if target is not None:
        found["value"] = (("image", "layer"), as_numbers(torch.cat(values)))
        found.attrs |= {"target_name": target.name, "unit": "logit"}
    if correct:
        found["correct"] = (("image", "layer"), torch.cat(correct).cpu().numpy())
        found["accuracy"] = found["correct"].mean("image")
    return found
