"""Strict interchange intervention training: parts of a network come to stand for variables."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.data import Batch, Images
from vitreous.models import HookedViT, stream
from vitreous.terrarium import CausalModel
from vitreous.training._swapped_runs import SwappedRuns


@dataclass(frozen=True)
class InterchangeLoss:
    """Makes a network solve a task as a causal model does, with the nodes that it names.

    The sum of three cross entropies, in nats:

    - behavior: of the labels.
    - interchange: the nodes of some variables, each in or out with a chance of one half, say what
      they say of another picture of the batch. The answer must be the causal model's, with those
      variables set to what they are there.
    - strict: what lies outside of the circuit says what it says of another picture, and the label
      must stay. For half of the pictures it is all of it; for the others each part with one
      chance, drawn anew for each picture.

    Another picture is the one before it in the batch, so that pictures must come in random order.
    Blocks whose MLP stands beside attention aren't supported, nor are models without a `Graph`. All
    chance is torch's own; processes that share a batch draw for themselves, and their number
    changes what is learned.

    Attributes:
        causal: Solves the task, and names the nodes.
        interchange: Weight of the second part.
        strict: Weight of the third.

    References:
        Gupta et al., "InterpBench: Semi-Synthetic Transformers for Evaluating Mechanistic
        Interpretability Techniques", 2024, section 3 (SIIT). Geiger et al., "Inducing Causal
        Structure for Interpretable Neural Networks", 2022 (the second part). Departs from them:
        several variables are swapped at once, and several nodes resampled. Edges are held to the
        circuit, too: inside of it, a node must not mind what a node that its variable doesn't
        depend on has written, and a head's queries, keys and values are told apart.
    """

    causal: CausalModel
    interchange: float = 1.0
    strict: float = 1.0

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Runs the model three times on a batch."""
        behavior, interchange, strict = self.parts(model, batch)
        return behavior + self.interchange * interchange + self.strict * strict

    def parts(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
        """Behavior, interchange and strict, without their weights.

        Raises:
            ValueError: The pictures lack labels or label maps.
        """
        if batch.labels is None:
            raise ValueError("`images` must have labels to train on; got none. Pass `labels=`.")
        runs = SwappedRuns(model, self.causal, batch)
        swapped = torch.rand(len(batch), len(self.causal.variables)) < 0.5
        rate = 2 * torch.rand(len(batch), 1)
        resampled = torch.rand(len(batch), len(runs.outside)) < rate
        device = batch.pixels.device
        strict = runs.resampled(resampled.to(device))
        return (
            functional.cross_entropy(runs.logits, batch.labels),
            functional.cross_entropy(*runs.interchanged(swapped.to(device))),
            functional.cross_entropy(strict, batch.labels),
        )


@torch.no_grad()
def interchange_accuracy(causal: CausalModel, model: HookedViT, images: Images) -> float:
    """How often a network answers as a causal model when one variable is that of another picture.

    Averaged over the variables; in each run one of them is swapped in every picture, with the one
    before it in its batch. A picture alone in a batch is swapped with itself.

    Args:
        causal: Names the nodes that are swapped.
        model: The network.
        images: Pictures of the task, with their symbols as label maps.
    """
    count, hits = len(causal.variables), 0
    for batch in stream(model, images):
        runs = SwappedRuns(model, causal, batch)
        for alone in torch.eye(count, dtype=torch.bool, device=batch.pixels.device):
            logits, answers = runs.interchanged(alone.expand(len(batch), count))
            hits += int((logits.argmax(-1) == answers).sum())
    return hits / (count * len(images))


@torch.no_grad()
def strict_accuracy(causal: CausalModel, model: HookedViT, images: Images) -> float:
    """How often a network is right when all outside of its circuit is that of another picture.

    Args:
        causal: Names the nodes of the circuit, and who reads whom.
        model: The network.
        images: Pictures of the task, with labels, and their symbols as label maps.
    """
    hits = 0
    for batch in stream(model, images):
        runs = SwappedRuns(model, causal, batch)
        all_of_it = torch.ones(len(batch), len(runs.outside), dtype=torch.bool)
        logits = runs.resampled(all_of_it.to(batch.pixels.device))
        hits += int((logits.argmax(-1) == batch.labels).sum())
    return hits / len(images)
