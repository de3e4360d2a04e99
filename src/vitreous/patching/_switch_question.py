"""Which answer each pair is to flip to, and how far a patched run is on the way."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.models import HookedViT, Pairs, Target, gathered_halves
from vitreous.patching._patched_sets import PatchedSets
from vitreous.patching._runs import Direction, sides


@dataclass(frozen=True)
class SwitchQuestion:
    """The answer is the sign of a target, or the predicted class among all.

    Attributes:
        pairs: What the answer differs on.
        sets: Their runs.
        direction: From which run heads are patched into which.
        goal: For each pair the sign, or the class, of the run that heads are patched from.
        asks_prediction: Whether it is the class.
    """

    pairs: Pairs
    sets: PatchedSets
    direction: Direction
    goal: Float[Tensor, " batch"] | Int[Tensor, " batch"]
    asks_prediction: bool

    @classmethod
    def of(
        cls,
        model: HookedViT,
        clean: Tensor | Images,
        corrupt: Tensor | Images,
        target: Target | Any,
        direction: Direction,
        max_batch: int,
    ) -> "SwitchQuestion":
        _, source = sides(direction)
        asks_prediction = target is None
        if asks_prediction:
            clean, corrupt = gathered_halves(model, clean, corrupt, max_batch=max_batch)
            target = _predicted(model, clean, corrupt, max_batch)
        pairs = Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
        goal = getattr(pairs, f"{source}_value").sign()
        if asks_prediction:
            goal = _classes(model, getattr(pairs, source), max_batch)
        else:
            _require_flip(pairs)
        sets = PatchedSets.of(pairs, direction, max_batch)
        return cls(pairs, sets, direction, goal, asks_prediction)

    def progress(
        self, rows: Int[Tensor, " sets"], patched: Bool[Tensor, "sets layers heads positions"]
    ) -> tuple[Float[Tensor, " sets"], Float[Tensor, " sets"]]:
        """How far each patched run is: above zero where the answer flipped; and its target."""
        logits, rows = self.sets.logits(rows, patched), rows.to(self.goal.device)
        values = self.pairs.target.of_images(rows)(logits)
        goal = self.goal[rows]
        if not self.asks_prediction:
            return values * goal, values
        wanted = logits.gather(1, goal[:, None])
        others = logits.scatter(1, goal[:, None], -torch.inf).max(1).values
        return wanted[:, 0] - others, values

    def progress_of_one(
        self, patched: Bool[Tensor, "layers heads positions"]
    ) -> Float[Tensor, " batch"]:
        """How far one set is in every pair."""
        rows = torch.arange(len(self.pairs))
        return self.progress(rows, patched.expand(len(rows), *patched.shape))[0]


def _predicted(model: HookedViT, clean: Tensor, corrupt: Tensor, max_batch: int) -> Target:
    """For each pair its own difference of the two predicted classes."""
    predicted = [_classes(model, images, max_batch) for images in (clean, corrupt)]
    same = (predicted[0] == predicted[1]).nonzero()
    if len(same):
        pair = int(same[0])
        logits = [_outputs(model, x[pair : pair + 1]).max().item() for x in (clean, corrupt)]
        label = int(predicted[0][pair])
        name = label if model.labels is None else model.labels[label]
        raise ValueError(
            f"The prediction must differ between clean and corrupt; got {name} with logits "
            f"{logits[0]:.4g} and {logits[1]:.4g} on pair {pair}, and the same on {len(same)} of "
            f"{len(clean)} in all. Leave such pairs out."
        )
    return model.target(predicted[0].tolist(), minus=predicted[1].tolist(), name="prediction")


def _classes(model: HookedViT, images: Tensor, max_batch: int) -> Int[Tensor, " batch"]:
    return torch.cat([_outputs(model, some).argmax(-1) for some in images.split(max_batch)])


@torch.no_grad()
def _outputs(model: HookedViT, images: Tensor) -> Float[Tensor, "batch labels"]:
    return model(images)


def _require_flip(pairs: Pairs) -> None:
    same = (pairs.clean_value.sign() * pairs.corrupt_value.sign() >= 0).nonzero()
    if len(same):
        pair = int(same[0])
        raise ValueError(
            f"The sign of `{pairs.target.name}` must differ between clean and corrupt; got "
            f"{pairs.clean_value[pair]:.4g} and {pairs.corrupt_value[pair]:.4g} on pair {pair}, "
            f"and one sign on {len(same)} of {len(pairs)} in all. Leave such pairs out, or pass a "
            "difference of classes."
        )
