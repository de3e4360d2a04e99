"""The one loop that trains a model from labeled pictures."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vitreous._optional import needs
from vitreous.data import Images

Augmentation = Callable[
    [Float[Tensor, "batch channels rows columns"], torch.Generator],
    Float[Tensor, "batch channels rows columns"],
]
"""Changes a batch of pictures at random; all its chance comes from the generator."""


def unchanged(
    pixels: Float[Tensor, "batch channels rows columns"], generator: torch.Generator
) -> Float[Tensor, "batch channels rows columns"]:
    """The augmentation that does nothing."""
    return pixels


@dataclass(frozen=True)
class Plan:
    """How a model is trained: AdamW, linear warm-up, cosine decay to zero.

    Attributes:
        epochs: Passes over the training pictures.
        batch_size: Pictures per step; what is left over at the end of an epoch waits for the next.
        learning_rate: At the end of the warm-up.
        warmup: Part of all steps in which the learning rate rises.
        weight_decay: On every parameter.
        max_gradient_norm: Longer gradients are shortened to this length.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0

    def rate(self, step: int, n_steps: int) -> float:
        """The learning rate at a step, as a part of `learning_rate`."""
        n_warmup = max(1, round(self.warmup * n_steps))
        if step < n_warmup:
            return (step + 1) / n_warmup
        done = (step - n_warmup) / max(1, n_steps - n_warmup)
        return 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Progress:
    """Where a training stands at the end of an epoch.

    Attributes:
        epoch: Epochs done.
        step: Steps done.
        loss: Cross entropy in nats, averaged over the epoch, on augmented pictures.
    """

    epoch: int
    step: int
    loss: float


def fit(
    model: nn.Module,
    images: Images,
    plan: Plan,
    *,
    seed: int,
    augment: Augmentation = unchanged,
    after_epoch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Trains a classifier in place, on the device that Accelerate finds.

    The same seed gives the same weights, bit by bit, on one machine and number of threads.

    Args:
        model: Takes pictures, returns logits. Its own initial weights are the caller's to seed.
        images: Prepared pictures with labels.
        plan: How.
        seed: Of the order of pictures and of the augmentation.
        augment: Acts on every training batch.
        after_epoch: Called after every epoch: to show progress, or to keep a checkpoint.

    Returns:
        The last epoch's progress.

    Raises:
        MissingDependencyError: Accelerate isn't installed.
        ValueError: Too few pictures for a batch, or no labels.
    """
    n_batches = _whole_batches(images, plan)
    generator = torch.Generator().manual_seed(seed)
    trainer = _Trainer(model, plan, plan.epochs * n_batches)
    progress = Progress(0, 0, math.nan)
    for epoch in range(1, plan.epochs + 1):
        losses = [
            trainer.step(augment(pixels, generator), labels)
            for pixels, labels in _shuffled(images, plan.batch_size, generator)
        ]
        progress = Progress(epoch, epoch * n_batches, torch.stack(losses).mean().item())
        if after_epoch is not None:
            after_epoch(progress)
    model.eval()
    return progress


class _Trainer:
    def __init__(self, model: nn.Module, plan: Plan, n_steps: int) -> None:
        self.accelerator = needs("accelerate", extra="ml", feature="fit()").Accelerator()
        self.max_norm = plan.max_gradient_norm
        optimizer = torch.optim.AdamW(
            model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: plan.rate(i, n_steps))
        prepared = self.accelerator.prepare(model.train(), optimizer, schedule)
        self.model, self.optimizer, self.schedule = prepared

    def step(
        self, pixels: Float[Tensor, "batch channels rows columns"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        device = self.accelerator.device
        loss = functional.cross_entropy(self.model(pixels.to(device)), labels.to(device))
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()


def accuracy(model: nn.Module, images: Images) -> float:
    """The part of the pictures whose label has the highest logit."""
    device = next(model.parameters()).device
    with torch.no_grad():
        hits = [
            (model(batch.pixels.to(device)).argmax(-1).cpu() == batch.labels).sum()
            for batch in images
        ]
    return int(sum(hits)) / len(images)


def _shuffled(
    images: Images, size: int, generator: torch.Generator
) -> Iterator[tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]]:
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(images) - size + 1, size):
        batch = images[order[start : start + size]]
        if batch.labels is None:
            raise ValueError("`images` must have labels to train on; got none. Pass `labels=`.")
        yield batch.pixels, batch.labels


def _whole_batches(images: Images, plan: Plan) -> int:
    if len(images) < plan.batch_size:
        raise ValueError(
            f"`images` must fill a batch of {plan.batch_size}; got {len(images)}. "
            "Pass more, or a smaller `batch_size`."
        )
    return len(images) // plan.batch_size
