"""A model without what some of its heads say of an image."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitreous.data import Images
from vitreous.decomposition._classes import Classifier, class_logits, require_classes
from vitreous.decomposition._head_outputs import head_points, said_by_heads
from vitreous.hooks import Ablate, Site
from vitreous.models import HookedViT, OutputReading, image_tower, output_points, stream
from vitreous.training import means

Removal = Literal["direct", "ablate"]
Heads = tuple[tuple[int, int], ...]


class WithoutHeads(nn.Module):
    """A classifier in which some heads say what they say on average; made by `remove_heads`.

    Attributes:
        model: The classifier, which stays as it is.
        heads: Layer and number of each removed head.
        method: How they are removed.
        interventions: For `"ablate"`, what is done to a run, for `model.intervene`; otherwise none.
    """

    mean: Tensor

    def __init__(
        self,
        model: Classifier,
        heads: Heads,
        method: Removal,
        mean: Float[Tensor, "components labels"],
        interventions: Sequence[Ablate],
    ) -> None:
        super().__init__()
        self.model, self.heads, self.method = model, heads, method
        self.register_buffer("mean", mean)
        self.interventions = tuple(interventions)

    @property
    def image(self) -> HookedViT:
        """The tower that sees the images."""
        return image_tower(self.model)

    def forward(
        self, images: Float[Tensor, "batch *frames channels rows columns"]
    ) -> Float[Tensor, "batch labels"]:
        """Logits of preprocessed images."""
        if not self.heads:
            return self.model(images)
        if self.method == "ablate":
            with self.image.intervene(self.interventions):
                return self.model(images)
        outputs, said = outputs_and_heads(self.image, images, self.heads)
        return class_logits(self.model, outputs - (said - self.mean.to(said)).sum(1))


def remove_heads(
    model: Classifier,
    heads: Iterable[str | tuple[int, int]],
    reference: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    method: Removal = "direct",
) -> WithoutHeads:
    """Takes what some heads say of an image out of a model.

    `"direct"` exchanges their part of the final sum for its mean, with norms and pooling held as in
    the run: later layers still read what the heads wrote. `"ablate"` exchanges what the heads have
    read (`hook_z`) for its mean at each position, in the pass itself, so later layers go without,
    too. Both agree where nothing stands behind the heads but a norm that doesn't notice.

    Args:
        model: A `HookedViT` with a head, or a `ZeroShotClassifier`.
        heads: `"L3H4"`, or layer and head.
        reference: Whose mean: images, which are streamed. Best without the cue, where there are
            such: then a head says what it says where there is nothing to be misled by.
        method: How.

    Returns:
        A module that takes images and gives logits.

    Raises:
        ValueError: A head that there isn't, or an unknown method.

    References:
        Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
        Decomposition", 2024, section 4.2. Departs from it: the heads are found, by
        `rank_spurious_heads`, and nothing else is ablated.
    """
    require_classes(model)
    require_method(method)
    tower = image_tower(model)
    places = tuple(dict.fromkeys(_place(tower, head) for head in heads))
    nothing = tower.placement.new_zeros(len(places), tower.n_outputs)
    if not places:
        return WithoutHeads(model, places, method, nothing, ())
    if method == "ablate":
        return WithoutHeads(model, places, method, nothing, ablations(tower, places, reference))
    usual = mean_of_heads(tower, places, reference).to(nothing)
    return WithoutHeads(model, places, method, usual, ())


def mean_of_heads(
    model: HookedViT, heads: Heads, reference: Tensor | Images
) -> Float[Tensor, "components labels"]:
    """What some heads say on average."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for batch in stream(model, reference):
        _, said = outputs_and_heads(model, batch.pixels, heads)
        total, count = total + said.double().sum(0).cpu(), count + len(said)
    return total / count


@torch.no_grad()
def outputs_and_heads(
    model: HookedViT, images: Float[Tensor, "batch *frames channels rows columns"], heads: Heads
) -> tuple[Float[Tensor, "batch labels"], Float[Tensor, "batch components labels"]]:
    """The outputs, and what some heads say of them."""
    layers = sorted({layer for layer, _ in heads})
    names = [*head_points(model, layers), *output_points(model)]
    outputs, cache = model.run_with_cache(images, names_filter=names)
    said = said_by_heads(cache, OutputReading(cache), layers)
    rows = [layers.index(layer) for layer, _ in heads]
    return outputs, said[:, rows, [head for _, head in heads]]


def ablations(model: HookedViT, heads: Heads, reference: Tensor | Images) -> list[Ablate]:
    """Mean ablation of each head, by position."""
    points = read_by_heads(heads)
    whose = means(model, reference, points, by="position")
    sites = [Site(f"blocks.{layer}.attn.hook_z", head=head) for layer, head in heads]
    return [Ablate(site, "mean", whose) for site in sites]


def read_by_heads(heads: Heads) -> list[str]:
    """The points where the heads' reads stand, one for each layer."""
    return [f"blocks.{layer}.attn.hook_z" for layer in sorted({layer for layer, _ in heads})]


def require_method(method: str) -> None:
    """Raises for a way of removing heads that there isn't."""
    if method not in ("direct", "ablate"):
        raise ValueError(f"`method` must be 'direct' or 'ablate'; got {method!r}. Pass one.")


def _place(model: HookedViT, head: Any) -> tuple[int, int]:
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    places = itertools.product(range(n_layers), range(n_heads))
    named = {name: place for place in places for name in (place, "L{}H{}".format(*place))}
    if head not in named:
        raise ValueError(
            f"`heads` must lie in L0H0..L{n_layers - 1}H{n_heads - 1}; got {head!r}. "
            "Name heads of this model."
        )
    return named[head]
