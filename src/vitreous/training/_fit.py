"""The one loop that trains a model."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, is_dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._claim import remove_remains
from vitreous.data import Images
from vitreous.training._batches import Augmentation, Batches, unchanged
from vitreous.training._logs import Log, Progress, Start
from vitreous.training._losses import Loss, cross_entropy
from vitreous.training._plan import Plan
from vitreous.training._run_folder import RunFolder
from vitreous.training._state import State
from vitreous.training._trainer import Trainer, entered_by_main, require_seed, seeded

STEPS_PER_ROW = 10
LOSSES_KEPT = 100


def fit(
    model: nn.Module,
    images: Images,
    plan: Plan,
    *,
    seed: int,
    loss: Loss = cross_entropy,
    augment: Augmentation = unchanged,
    folder: RunFolder | None = None,
    identity: Mapping[str, Any] | None = None,
    logs: Iterable[Log] = (),
    workers: int = 0,
) -> Progress:
    """Trains a model in place, on the device that Accelerate finds.

    On CPUs the same seed gives the same weights, bit by bit, on one machine and number of threads
    and processes, however often the training was killed and taken up again. Processes started by
    `accelerate launch` share each batch, so that their number changes no more than rounding. GPUs
    may add up in any order.

    Args:
        model: Takes pictures, returns logits. Its own initial weights are the caller's to seed.
        images: Prepared pictures with labels.
        plan: How.
        seed: Of the order of pictures, of the augmentation, and of torch's own chance.
        loss: What is made small.
        augment: Acts on every training batch.
        folder: Where the training is kept; an unfinished one there goes on.
        identity: Whatever else makes a training another one, as plain JSON: a training in `folder`
            with another identity is refused.
        logs: Told every ten steps, and at the end of every epoch.
        workers: Processes that read pictures ahead.

    Returns:
        Where the training ended.

    Raises:
        MissingDependencyError: Accelerate isn't installed.
        OSError: `folder` holds something else, or another process trains there.
        ValueError: Too few pictures for a batch, no labels, or no seed.
        WeightsError: `folder` holds a training that isn't whole or isn't this one.
    """
    require_seed(seed)
    trainer = Trainer(model, plan, loss)
    accelerator = trainer.accelerator
    generator = torch.Generator().manual_seed(seed)
    process, n_processes = accelerator.process_index, accelerator.num_processes
    batches = Batches(images, plan, augment, generator, process, n_processes, workers)
    whole_identity = {
        **(identity or {}),
        "seed": seed,
        "pictures": len(images),
        "plan": asdict(plan),
        "augmentation": _described(augment),
        "loss": _described(loss),
        "processes": n_processes,
        "precision": accelerator.mixed_precision,
        "checkpoints": sorted(folder.checkpoints) if folder else [],
    }
    claim = folder.claim if folder else nullcontext()
    with entered_by_main(accelerator, claim), seeded(accelerator, seed):
        course = _Course(trainer, batches, whole_identity, folder)
        progress = course.go(list(logs))
    model.eval()
    return progress


class _Course:
    """A training on its way: what step it is at, what it keeps and whom it tells."""

    def __init__(
        self,
        trainer: Trainer,
        batches: Batches,
        identity: dict[str, Any],
        folder: RunFolder | None,
    ) -> None:
        self.trainer, self.batches, self.identity, self.folder = trainer, batches, identity, folder
        self.plan, n_images = batches.plan, len(batches.images)
        self.steps_per_epoch = self.plan.steps_per_epoch(n_images)
        self.n_steps = self.plan.n_steps(n_images)
        self.is_main: bool = trainer.accelerator.is_main_process
        self.step, self.run, self.losses = 0, uuid.uuid4().hex[:12], list[Tensor]()
        self.seconds_before, self.started = 0.0, time.perf_counter()

    def go(self, logs: list[Log]) -> Progress:
        resumed_at = self._take_up()
        self.logs = logs if self.is_main else []
        opened: list[Log] = []
        try:
            for log in self.logs:
                log.start(Start(self.run, self.n_steps, resumed_at))
                opened.append(log)
            while self.step < self.n_steps:
                self._epoch()
        finally:
            for log in opened:
                log.close()
        return self._progress(len(self.losses))

    def _epoch(self) -> None:
        done = self.step % self.steps_per_epoch
        if not done:
            self.losses = []
        for batch in islice(self.batches.epoch(done), self.n_steps - self.step):
            loss = self.trainer.step(batch, self._learning_rate(self.step))
            self.losses = [*self.losses, loss][-LOSSES_KEPT:]
            self.step += 1
            self._tell()
            self._keep()

    def _learning_rate(self, step: int) -> float:
        return self.plan.learning_rate * self.plan.rate(step, self.n_steps)

    def _tell(self) -> None:
        position = (self.step - 1) % self.steps_per_epoch + 1
        is_last = position == self.steps_per_epoch or self.step == self.n_steps
        if position % STEPS_PER_ROW == 0 or is_last:
            progress = self._progress((position - 1) % STEPS_PER_ROW + 1)
            for log in self.logs:
                log.write(progress)

    def _progress(self, n_losses: int) -> Progress:
        return Progress(
            self.step,
            self.step // self.steps_per_epoch,
            torch.stack(self.losses[-n_losses:]).mean().item(),
            self._learning_rate(self.step - 1),
            round(self._seconds(), 3),
        )

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    # -- What is kept

    def _take_up(self) -> int | None:
        """Goes on with the training in the folder, and returns its step; or begins one there."""
        if self.folder is None:
            return None
        last = self.folder.last_state(self.identity)
        self.trainer.accelerator.wait_for_everyone()  # before anyone changes the folder
        if self.is_main:
            remove_remains(self.folder.path)
        if last is None:
            first = self._state()
            if self.is_main:
                self.folder.keep(first)
        else:
            self._restore(last)
        self._keep_weights(self.folder)  # those of step 0, which come after the state
        return None if last is None else last.step

    def _keep(self) -> None:
        if self.folder is None:
            return
        self._keep_weights(self.folder)
        if self.step % self.folder.every == 0 or self.step == self.n_steps:
            state = self._state()
            if self.is_main:
                for log in self.logs:
                    log.flush()
                self.folder.keep(state)

    def _keep_weights(self, folder: RunFolder) -> None:
        if self.is_main and self.step in folder.checkpoints:
            about = {name: self.identity.get(name) for name in ("recipe", "seed")}
            folder.keep_weights(self.trainer.plain_model, self.step, about)

    def _state(self) -> State:
        tensors = self.trainer.tensors() | self.batches.tensors()
        tensors["losses"] = torch.stack(self.losses).cpu() if self.losses else torch.zeros(0)
        identity = json.loads(json.dumps(self.identity))
        return State(self.step, self._seconds(), self.run, identity, tensors)

    def _restore(self, state: State) -> None:
        self.trainer.restore(state.tensors)
        self.batches.restore(state.tensors)
        self.losses = list(state.tensors["losses"].to(self.trainer.accelerator.device))
        self.step, self.run, self.seconds_before = state.step, state.run, state.seconds


def _described(value: Any) -> str:
    """A function by its name, which is the same tomorrow, where its `repr` has an address."""
    return repr(value) if is_dataclass(value) else getattr(value, "__qualname__", str(type(value)))


def accuracy(model: nn.Module, images: Images) -> float:
    """The part of the pictures whose label has the highest logit."""
    device = next(model.parameters()).device
    with torch.no_grad():
        hits = [
            (model(batch.pixels.to(device)).argmax(-1).cpu() == batch.labels).sum()
            for batch in images
        ]
    return int(sum(hits)) / len(images)
