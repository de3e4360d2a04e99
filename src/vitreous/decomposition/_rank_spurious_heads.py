"""Which heads carry a cue that misleads?"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.decomposition._classes import (
    Classifier,
    class_logits,
    require_classes,
    require_one_each,
    true_labels,
)
from vitreous.decomposition._groups import Groups
from vitreous.decomposition._remove_heads import (
    Heads,
    Removal,
    WithoutHeads,
    ablations,
    outputs_and_heads,
    require_method,
)
from vitreous.models import image_tower, require_finite, stream

# From the places of heads to the logits of all images without them.
_Without = Callable[[list[int]], Float[Tensor, "images labels"]]


def rank_spurious_heads(
    model: Classifier,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    groups: Sequence[Hashable] | Int[Tensor, " images"],
    *,
    labels: Sequence[int] | Int[Tensor, " images"] | None = None,
    most: int = 8,
    method: Removal = "direct",
) -> xarray.Dataset:
    """Finds the heads without which the worst group fares best, one after the other.

    Each step removes the head (its part of the sum, or its output in the pass, becomes the mean
    over `images`) after which the truth has the highest mean log-probability in the group where it
    has the lowest; accuracies of small groups move in steps, and by chance. It goes on for `most`
    steps; `chosen` marks the heads up to where the worst group is most accurate. Nothing is picked
    by hand, but something is fitted: judge the result on other images. Where no head carries the
    cue by itself, or MLPs write it, removing heads helps little, and shows that.

    Args:
        model: A `HookedViT` with a head, or a `ZeroShotClassifier`.
        images: Of a validation set in which every group is there, best equally often.
        groups: One entry per image; images that share it are a group. Usually pairs of label and
            cue: `list(zip(labels, cues))`.
        labels: The class of each image, where `images` don't carry it.
        most: How many heads to rank.
        method: As in `remove_heads`. `"ablate"` runs the model once per head and step.

    Returns:
        By `component`, the ranked heads (with coordinates `layer_of` and `head_of`): `worst` and
        `average`, accuracies without it and all before it, and `chosen`, those for `remove_heads`;
        `worst_before` and `average_before`. For all heads `worst_alone[layer, head]`, without that
        head alone, and the parts of the variance of what it says directly: `label_share`, between
        labels, and `cue_share`, between groups of one label. A head that carries the cue and not
        the class has much of the second and little of the first, if groups are balanced.

    Raises:
        ValueError: Labels or groups are missing, or not one per image.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, section 4.2, where heads are chosen by hand; this choice is ours.
    """
    require_classes(model)
    require_method(method)
    if most < 1:
        raise ValueError(f"`most` must be at least 1; got {most}. Raise it.")
    require_one_each("labels", labels, len(images))
    told = Groups.numbered(groups, len(images))
    tower = image_tower(model)
    n_layers, n_heads = tower.cfg.n_layers, tower.cfg.n_heads
    heads = tuple((layer, head) for layer in range(n_layers) for head in range(n_heads))
    outputs, said, truth = _collected(model, images, labels, heads)
    without = _in_the_sum(model, outputs, said)
    if method == "ablate":
        without = _in_the_pass(model, images, heads)
    steps = _greedy(without, len(heads), truth, told, most)
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
        alone: Of the worst group, without each head alone.
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


def _in_the_sum(
    model: Classifier,
    outputs: Float[Tensor, "images labels"],
    said: Float[Tensor, "images components labels"],
) -> _Without:
    centered = said - said.mean(0)
    like = image_tower(model).placement

    def without(places: list[int]) -> Tensor:
        changed = outputs - centered[:, places].sum(1)
        with torch.no_grad():
            return class_logits(model, changed.to(like)).cpu()

    return without


def _in_the_pass(model: Classifier, images: Tensor | Images, heads: Heads) -> _Without:
    tower = image_tower(model)
    edits = ablations(tower, heads, images)

    def without(places: list[int]) -> Tensor:
        chosen = tuple(heads[place] for place in places)
        nothing = tower.placement.new_zeros(len(chosen), tower.n_outputs)
        removed = WithoutHeads(model, chosen, "ablate", nothing, [edits[i] for i in places])
        with torch.no_grad():
            return torch.cat([removed(batch.pixels).cpu() for batch in stream(tower, images)])

    return without


def _greedy(
    without: _Without, n_heads: int, truth: Int[Tensor, " images"], groups: Groups, most: int
) -> _Steps:
    before = _grades(without([]), truth, groups)
    steps = _Steps([before[0]], [before[2]], [], torch.zeros(n_heads, dtype=torch.float64))
    for _ in range(min(most, n_heads)):
        rest = [head for head in range(n_heads) if head not in steps.order]
        tried = {head: _grades(without([*steps.order, head]), truth, groups) for head in rest}
        if not steps.order:
            steps.alone.copy_(torch.tensor([tried[head][0] for head in rest], dtype=torch.float64))
        best = max(tried, key=lambda head: tried[head][1])
        steps.order.append(best)
        steps.worst.append(tried[best][0])
        steps.average.append(tried[best][2])
    return steps


def _grades(
    logits: Float[Tensor, "images labels"], truth: Int[Tensor, " images"], groups: Groups
) -> tuple[float, float, float]:
    """Accuracy and log-probability of the worst groups, and accuracy over images."""
    correct = (logits.argmax(-1) == truth).double()
    said = logits.double().log_softmax(-1).gather(1, truth[:, None])[:, 0]
    worst, least = groups.mean(correct).min().item(), groups.mean(said).min().item()
    return worst, least, correct.mean().item()


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
