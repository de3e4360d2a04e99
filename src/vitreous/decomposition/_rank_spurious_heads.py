"""Which heads carry a cue that misleads?"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.decomposition._classes import (
    Classifier,
    require_classes,
    require_one_each,
    true_labels,
)
from vitreous.decomposition._groups import Groups
from vitreous.decomposition._remove_heads import (
    Heads,
    Removal,
    mean_of_heads,
    outputs_and_heads,
    require_method,
)
from vitreous.decomposition._trials import InThePass, InTheSum
from vitreous.models import image_tower, require_finite, stream


def rank_spurious_heads(
    model: Classifier,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    groups: Sequence[Hashable] | Int[Tensor, " images"],
    *,
    labels: Sequence[int] | Int[Tensor, " images"] | None = None,
    most: int = 8,
    method: Removal = "direct",
    reference: Float[Tensor, "_ *_"] | Images | None = None,
    tries: int | None = None,
) -> xarray.Dataset:
    """Finds the heads without which the worst group fares best, one after the other.

    Each step removes the head (its part of the sum, or its output in the pass, becomes the mean
    over `reference`) after which the truth has the highest mean log-probability in the group where
    it has the lowest; accuracies of small groups move in steps, and by chance. It goes on for
    `most` steps; `chosen` marks the heads up to where the worst group is most accurate. Nothing is
    picked by hand, but something is fitted: judge the result on other images.

    `"direct"` finds heads that write the cue into the answer, and misses those that read it for
    later layers, as heads of early layers read words; `"ablate"` finds both. Where all heads carry
    some of the cue, removing a few helps little, and shows that.

    Args:
        model: A `HookedViT` with a head, or a `ZeroShotClassifier`.
        images: Of a validation set in which every group is there, best equally often.
        groups: One entry per image; images that share it are a group. Usually pairs of label and
            cue: `list(zip(labels, cues))`; where that leaves a handful each, cues alone.
        labels: The class of each image, where `images` don't carry it.
        most: How many heads to rank.
        method: As in `remove_heads`. `"ablate"` runs the model once per step and head tried.
        reference: Whose mean; best images without the cue, where there are such. None: `images`.
        tries: How many heads a step of `"ablate"` tries: those which, to first order, raise the
            log-probability in the worst group most, of which one pass with gradients tells. A
            guess, which saturated attention and norms mislead. None tries all.

    Returns:
        By `component`, the ranked heads (with coordinates `layer_of` and `head_of`): `worst` and
        `average`, accuracies without it and all before it, and `chosen`, those for `remove_heads`;
        `worst_before` and `average_before`. For all heads `worst_alone[layer, head]`, without that
        head alone (NaN where it wasn't tried), and the parts of the variance of what it says
        directly: `label_share`, between labels, and `cue_share`, between groups of one label. A
        head that carries the cue and not the class has much of the second and little of the first,
        if groups are balanced.

    Raises:
        ValueError: Labels or groups are missing, or not one per image; nothing to rank or try.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, section 4.2, where heads are chosen by hand; this choice is ours.
        Nanda, "Attribution Patching", 2023, for `tries`.
    """
    require_classes(model)
    require_method(method)
    for name, value in (("most", most), ("tries", tries)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1; got {value}. Raise it.")
    require_one_each("labels", labels, len(images))
    told = Groups.numbered(groups, len(images))
    tower = image_tower(model)
    n_layers, n_heads = tower.cfg.n_layers, tower.cfg.n_heads
    heads = tuple((layer, head) for layer in range(n_layers) for head in range(n_heads))
    outputs, said, truth = _collected(model, images, labels, heads)
    if method == "ablate":
        usual = images if reference is None else reference
        trials = InThePass(model, images, heads, usual, truth, tries)
    else:
        usual = said.mean(0) if reference is None else mean_of_heads(tower, heads, reference)
        trials = InTheSum(model, outputs, said - usual.to(said))
    steps = _greedy(trials, len(heads), truth, told, most)
    for_all = {"worst_alone": steps.alone} | _variances(said, truth, told)
    best = steps.worst.index(max(steps.worst))
    return xarray.Dataset(
        {
            "worst": ("component", steps.worst[1:]),
            "average": ("component", steps.average[1:]),
            "chosen": ("component", [place < best for place in range(len(steps.order))]),
            "worst_before": steps.worst[0],
            "average_before": steps.average[0],
        }
        | {
            name: (("layer", "head"), values.view(n_layers, n_heads).numpy())
            for name, values in for_all.items()
        },
        coords=_coordinates(heads, steps.order),
        attrs={"method": method, "groups": len(told.names)},
    )


class _Steps(NamedTuple):
    """Accuracies of the worst group and of all images, from none removed on.

    Attributes:
        worst: Of the worst group.
        average: Over images.
        order: The heads that were removed.
        alone: Of the worst group, without each head alone; NaN for those not tried.
    """

    worst: list[float]
    average: list[float]
    order: list[int]
    alone: Float[Tensor, " heads"]


def _collected(
    model: Classifier, images: Tensor | Images, labels: Sequence[int] | Tensor | None, heads: Heads
) -> tuple[Tensor, Tensor, Tensor]:
    """Of all images: outputs, what each head says of them, and the truth."""
    tower, parts = image_tower(model), []
    for batch in stream(tower, images):
        truth = true_labels(labels, batch)
        outputs, said = outputs_and_heads(tower, batch.pixels, heads)
        require_finite(outputs, "logits")
        parts.append((outputs.cpu(), said.cpu(), truth.cpu()))
    outputs, said, truth = (torch.cat(each) for each in zip(*parts, strict=True))
    return outputs, said, truth


def _greedy(
    trials: InTheSum | InThePass,
    n_heads: int,
    truth: Int[Tensor, " images"],
    groups: Groups,
    most: int,
) -> _Steps:
    now = _grades(trials.logits([]), truth, groups)
    alone = torch.full((n_heads,), torch.nan, dtype=torch.float64)
    steps = _Steps([now.worst], [now.average], [], alone)
    for _ in range(min(most, n_heads)):
        candidates = trials.candidates(steps.order, groups.of == now.least_in)
        tried = {c: _grades(trials.logits([*steps.order, c]), truth, groups) for c in candidates}
        if not steps.order:
            for head, grades in tried.items():
                alone[head] = grades.worst
        best = max(tried, key=lambda head: tried[head].least)
        now = tried[best]
        steps.order.append(best)
        steps.worst.append(now.worst)
        steps.average.append(now.average)
    return steps


class _Grades(NamedTuple):
    """How the truth fares.

    Attributes:
        worst: Accuracy in the group where it is lowest.
        average: Accuracy over images.
        least: Mean log-probability of the truth in the group where it is lowest.
        least_in: That group.
    """

    worst: float
    average: float
    least: float
    least_in: int


def _grades(
    logits: Float[Tensor, "images labels"], truth: Int[Tensor, " images"], groups: Groups
) -> _Grades:
    correct = (logits.argmax(-1) == truth).double()
    said = groups.mean(logits.double().log_softmax(-1).gather(1, truth[:, None])[:, 0])
    worst, least_in = groups.mean(correct).min().item(), int(said.argmin())
    return _Grades(worst, correct.mean().item(), said[least_in].item(), least_in)


def _variances(
    said: Float[Tensor, "images heads labels"], truth: Int[Tensor, " images"], groups: Groups
) -> dict[str, Float[Tensor, " heads"]]:
    """Which parts of the variance of what heads say lie between labels, and between cues."""
    pairs = list(zip(truth.tolist(), groups.of.tolist(), strict=True))
    centered = (said - said.mean(0)).double()
    total = centered.square().sum((0, 2))
    between = [_explained(centered, Groups.numbered(told, len(truth))) for told in (truth, pairs)]
    parts = {"label_share": between[0], "cue_share": between[1] - between[0]}
    return {name: part / total for name, part in parts.items()}


def _explained(centered: Float[Tensor, "images heads labels"], groups: Groups) -> Tensor:
    """The sum of squares of the means of groups, each as often as it has images."""
    averages = groups.mean(centered.permute(1, 2, 0))
    return (averages.square() * torch.bincount(groups.of)).sum((1, 2))


def _coordinates(heads: Heads, order: list[int]) -> dict[str, Any]:
    ranked = [heads[place] for place in order]
    return {
        "component": [f"L{layer}H{head}" for layer, head in ranked],
        "layer_of": ("component", [layer for layer, _ in ranked]),
        "head_of": ("component", [head for _, head in ranked]),
        "layer": sorted({layer for layer, _ in heads}),
        "head": sorted({head for _, head in heads}),
    }
