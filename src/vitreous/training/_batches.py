"""Training batches in an order that can be taken up again anywhere."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from vitreous.data import Batch, Images
from vitreous.training._plan import Plan

Augmentation = Callable[
    [Float[Tensor, "batch *frames channels rows columns"], torch.Generator],
    Float[Tensor, "batch *frames channels rows columns"],
]
"""Changes each picture of a batch at random, whatever the others are; all its chance comes from
the generator, in an amount that depends on the shape of the batch alone."""


def unchanged(
    pixels: Float[Tensor, "batch *frames channels rows columns"], generator: torch.Generator
) -> Float[Tensor, "batch *frames channels rows columns"]:
    """The augmentation that does nothing."""
    return pixels


@dataclass
class Batches:
    """The share of one process in all batches.

    Every process draws the same order and the same chance, and reads its own rows of a batch, so
    that any number of processes learn from the same pictures.

    Attributes:
        images: All training pictures.
        plan: Says how large a batch is, and whether they are shuffled.
        augment: Of the pixels. Masks don't follow, so they are dropped where anything changes.
        generator: Of all chance.
        process: Whose share: 0 .. `n_processes` - 1.
        n_processes: How many there are.
        workers: Processes that read ahead; with none, reading and learning alternate.
    """

    images: Images
    plan: Plan
    augment: Augmentation
    generator: torch.Generator
    process: int = 0
    n_processes: int = 1
    workers: int = 0
    epoch_state: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.plan.batch_size % self.n_processes:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.n_processes} processes; got "
                f"{self.plan.batch_size}. Pass another, or start fewer processes."
            )
        self.epoch_state = self.generator.get_state()

    def epoch(self, done: int) -> Iterator[Batch]:
        """The batches of an epoch, without the first `done`, which were taken before."""
        order = self._order_again() if done else self._new_order()
        size, share = self.plan.batch_size, self.plan.batch_size // self.n_processes
        firsts = range(done * size, len(self.images) - size + 1, size)
        mine = (first + self.process * share for first in firsts)
        for batch in self._read(order[first : first + share] for first in mine):
            yield batch if self.augment is unchanged else self._changed(batch)

    def tensors(self) -> dict[str, Tensor]:
        """All that the batches to come depend on, besides how many were taken."""
        return {"order.epoch": self.epoch_state, "order.now": self.generator.get_state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what `tensors` gave."""
        self.epoch_state = tensors["order.epoch"].clone()
        self.generator.set_state(tensors["order.now"].clone())

    def _new_order(self) -> list[int] | range:
        self.epoch_state = self.generator.get_state()
        if not self.plan.shuffle:
            return range(len(self.images))
        return torch.randperm(len(self.images), generator=self.generator).tolist()

    def _order_again(self) -> list[int] | range:
        now = self.generator.get_state()
        self.generator.set_state(self.epoch_state)
        order = self._new_order()
        self.generator.set_state(now)
        return order

    def _read(self, places: Iterable[list[int] | range]) -> Iterator[Batch]:
        # Where a process can fork, `images.read` may be any function, else one that pickles.
        can_fork = self.workers and "fork" in multiprocessing.get_all_start_methods()
        return iter(
            DataLoader(
                self.images,  # pyright: ignore[reportArgumentType]  (it has an index and a length)
                sampler=places,
                batch_size=None,
                num_workers=self.workers,
                multiprocessing_context="fork" if can_fork else None,
                generator=torch.Generator(),  # or it takes a number from the chance of the model
            )
        )

    def _changed(self, batch: Batch) -> Batch:
        return replace(batch, pixels=self._augmented(batch.pixels), masks=None)

    def _augmented(
        self, pixels: Float[Tensor, "batch *frames channels rows columns"]
    ) -> Float[Tensor, "batch *frames channels rows columns"]:
        if self.n_processes == 1:
            return self.augment(pixels, self.generator)
        # Blank pictures stand for those of other processes, so that the chance is that of one.
        whole = pixels.new_zeros(self.n_processes, *pixels.shape)
        whole[self.process] = pixels
        changed = self.augment(whole.flatten(0, 1), self.generator)
        return changed.unflatten(0, (self.n_processes, -1))[self.process]
