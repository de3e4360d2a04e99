"""How long and how fast a model is trained."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model is trained: AdamW, linear warm-up, cosine decay to zero.

    Attributes:
        batch_size: Pictures per step, of all processes together; what is left over at the end of
            an epoch waits for the next.
        learning_rate: At the end of the warm-up.
        epochs: Passes over the training pictures.
        steps: How many batches instead, where the pictures are a stream without an end.
        shuffle: A new order for every epoch. A stream whose pictures come in random order anyway
            is read as it comes.
        warmup: Part of all steps in which the learning rate rises.
        weight_decay: On every parameter.
        max_gradient_norm: Longer gradients are shortened to this length.

    Raises:
        ValueError: A number that can't be, or not exactly one of `epochs` and `steps`.
    """

    batch_size: int
    learning_rate: float
    epochs: int | None = None
    steps: int | None = None
    shuffle: bool = True
    warmup: float = 0.1
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0

    def __post_init__(self) -> None:
        given = [number for number in (self.epochs, self.steps) if number is not None]
        if len(given) != 1 or not _counts(given[0]):
            raise ValueError(
                f"A plan must have either `epochs` or `steps`; got {self.epochs} and "
                f"{self.steps}. Pass one of them, 1 or more."
            )
        for name, fits, what in _RULES:
            number = getattr(self, name)
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            if not (is_number and fits(number)):
                raise ValueError(f"`{name}` must be {what}; got {number!r}. Choose another.")

    def steps_per_epoch(self, n_images: int) -> int:
        """How many whole batches the pictures fill."""
        if n_images < self.batch_size:
            raise ValueError(
                f"`images` must fill a batch of {self.batch_size}; got {n_images}. "
                "Pass more, or a smaller `batch_size`."
            )
        return n_images // self.batch_size

    def n_steps(self, n_images: int) -> int:
        """How many steps it takes in all."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 0) * self.steps_per_epoch(n_images)

    def rate(self, step: int, n_steps: int) -> float:
        """The learning rate at a step, as a part of `learning_rate`."""
        n_warmup = max(1, round(self.warmup * n_steps))
        if step < n_warmup:
            return (step + 1) / n_warmup
        done = (step - n_warmup) / max(1, n_steps - n_warmup)
        return 0.5 * (1 + math.cos(math.pi * done))


def _counts(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0


_RULES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("batch_size", _counts, "a whole number from 1 on"),
    ("learning_rate", lambda rate: 0 < rate < math.inf, "positive"),
    ("warmup", lambda part: 0 <= part <= 1, "a part, in 0..1"),
    ("weight_decay", lambda decay: 0 <= decay < math.inf, "0 or more"),
    ("max_gradient_norm", lambda norm: norm > 0, "positive; `inf` shortens none"),
)


def log_spaced(n_steps: int, count: int = 10) -> list[int]:
    """Steps at which to keep the weights of a training: 0, and the end halved again and again.

    The end itself isn't among them, because the trained model is its checkpoint.

    Args:
        n_steps: Of the whole training.
        count: How many steps, fewer where the training is too short for them.
    """
    halved = {n_steps >> times for times in range(1, count)}
    return sorted(halved | {0})
