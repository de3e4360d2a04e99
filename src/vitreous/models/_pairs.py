"""Two batches of images that differ in what is asked, one pair per row."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.models._batches import stream
from vitreous.models._memory import within_memory
from vitreous.models._results import require_finite
from vitreous.models._target import Target

if TYPE_CHECKING:
    from vitreous.data import Images
    from vitreous.models._transformer import GlassTransformer

# Of the larger of the two values, below which a difference is rounding.
_ROUNDING = 4


@dataclass(frozen=True)
class Pairs:
    """Clean and corrupt images, and what a target says of them; made by `Pairs.of`.

    Attributes:
        model: Whose target it is.
        target: What is measured.
        clean: Inputs of the model, one pair per row.
        corrupt: The other ones.
        clean_value: The target of each clean image, in units of the output.
        corrupt_value: The target of each corrupt one.
    """

    model: "GlassTransformer" = field(repr=False)
    target: Target
    clean: Tensor = field(repr=False)
    corrupt: Tensor = field(repr=False)
    clean_value: Float[Tensor, " batch"]
    corrupt_value: Float[Tensor, " batch"]

    @classmethod
    def of(
        cls,
        model: "GlassTransformer",
        clean: "Tensor | Images",
        corrupt: "Tensor | Images",
        target: Target | Any,
        *,
        max_batch: int = 64,
    ) -> "Pairs":
        """Runs both halves once, under all active hooks, and checks that they can be compared.

        Args:
            model: Any glass transformer.
            clean: Preprocessed images (or token ids), or `vt.data.Images`.
            corrupt: As many of the same shape; one stands for all.
            target: From `model.target(...)`, or what that takes.
            max_batch: The most images that run at once.

        Raises:
            ValueError: The two differ in shape, or the target doesn't differ on a pair, or isn't
                a finite number per image.
            MemoryError: `max_batch` images don't fit into memory.
        """
        target = model.target(target)
        halves = gathered_halves(model, clean, corrupt, max_batch=max_batch)
        values = [_valued(target, x, max_batch) for x in halves]
        require_difference(target, *values)
        return cls(model, target, *halves, *values)

    @classmethod
    def alone(
        cls,
        model: "GlassTransformer",
        images: "Tensor | Images",
        target: Target | Any,
        *,
        logits: Float[Tensor, "batch labels"] | None = None,
        max_batch: int = 64,
    ) -> "Pairs":
        """Each image paired with itself, for what needs no second one; nothing has to differ.

        Args:
            model: Any glass transformer.
            images: As `clean`.
            target: From `model.target(...)`, or what that takes.
            logits: Of these images, where they are known.
            max_batch: The most images that run at once.
        """
        target = model.target(target)
        given = _gathered(model, images, max_batch)
        if not len(given):
            raise ValueError("`images` must hold an image; got none. Pass one or more.")
        known = None if logits is None else require_finite(target(logits), target.name)
        value = _valued(target, given, max_batch) if known is None else known
        return cls(model, target, given, given, value, value)

    def __len__(self) -> int:
        return len(self.clean)

    def at(self, rows: slice | Int[Tensor, " batch"]) -> "Pairs":
        """Some of the pairs."""
        parts = ("clean", "corrupt", "clean_value", "corrupt_value")
        index = torch.arange(len(self))[rows]
        return replace(
            self,
            target=self.target.of_images(index),
            **{name: getattr(self, name)[rows] for name in parts},
        )

    def batches(self, size: int) -> Iterator["Pairs"]:
        """The pairs, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    def normalized(
        self, values: Float[Tensor, "*components batch"]
    ) -> Float[Tensor, "*components batch"]:
        """Values of the target on the scale on which corrupt is 0 and clean is 1, per pair."""
        return (values - self.corrupt_value) / (self.clean_value - self.corrupt_value)


def gathered_halves(
    model: "GlassTransformer",
    clean: "Tensor | Images",
    corrupt: "Tensor | Images",
    *,
    max_batch: int = 64,
) -> tuple[Tensor, Tensor]:
    """Both halves where the model is, one pair per row, before anything runs.

    Raises:
        ValueError: They differ in shape, or there are none.
    """
    one, other = (_gathered(model, x, max_batch) for x in (clean, corrupt))
    if not len(one):
        raise ValueError("`clean` must hold an image; got none. Pass one pair or more.")
    if len(other) == 1 < len(one):
        other = other.expand(len(one), *other.shape[1:])
    if one.shape != other.shape:
        raise ValueError(
            f"`clean` and `corrupt` must have one shape; got {list(one.shape)} and "
            f"{list(other.shape)}. Prepare both alike, one pair per row."
        )
    return one, other


def require_difference(
    target: Target, clean_value: Float[Tensor, " batch"], corrupt_value: Float[Tensor, " batch"]
) -> None:
    """Raises `ValueError` where a target says the same of both images of a pair."""
    difference = (clean_value - corrupt_value).abs()
    size = torch.maximum(clean_value.abs(), corrupt_value.abs())
    same = (difference <= _ROUNDING * torch.finfo(size.dtype).eps * size).nonzero()
    if len(same):
        pair = int(same[0])
        raise ValueError(
            f"`{target.name}` must differ between clean and corrupt; got "
            f"{clean_value[pair]:.6g} and {corrupt_value[pair]:.6g} on pair {pair}, "
            f"and the same on {len(same)} of {len(clean_value)} in all. Leave such pairs out, or "
            "ask for another target."
        )


def _gathered(model: "GlassTransformer", inputs: "Tensor | Images", max_batch: int) -> Tensor:
    if isinstance(inputs, Tensor):
        like = model.placement  # whole numbers are token ids, and stay those
        return inputs.to(like) if inputs.is_floating_point() else inputs.to(like.device)
    batches = stream(model, inputs, batch_size=max_batch)  # pyright: ignore[reportArgumentType]
    return torch.cat([batch.pixels for batch in batches])


@torch.no_grad()
def _valued(target: Target, inputs: Tensor, max_batch: int) -> Float[Tensor, " batch"]:
    values = []
    for start in range(0, len(inputs), max_batch):
        rows = slice(start, start + max_batch)
        own = target.of_images(torch.arange(len(inputs))[rows])
        with within_memory(len(inputs[rows])):
            values.append(own(target.model(inputs[rows])))
    return require_finite(torch.cat(values), target.name)
