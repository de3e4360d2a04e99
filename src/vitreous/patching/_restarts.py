"""One value after another patched into a recorded run, several along the batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from vitreous.models import GlassTransformer, TransformerCache, within_memory

# Makes the values of one patch, for the whole batch of the run.
Patch = Callable[[], Tensor]
# From the recorded values, an index and those of the other run: the values of one patch.
Setter = Callable[[Tensor, tuple[int, ...], Tensor], Tensor]


def patched_logits(
    model: GlassTransformer,
    base: TransformerCache,
    name: str,
    patches: Sequence[Patch],
    max_batch: int,
) -> Iterator[list[Tensor]]:
    """The logits of a run with one patch, patch after patch, as many at once as run together.

    Where somebody hooks what lies behind the point, it is one patch at a time: such a hook may
    hold a value for each image.
    """
    layer = model.hook_dict[name].layer()
    at_once = 1 if model.is_hooked_from(layer) else max(1, max_batch // base.n_images)
    for start in range(0, len(patches), at_once):
        chunk = patches[start : start + at_once]
        with torch.no_grad(), within_memory(len(chunk) * base.n_images):
            values = torch.cat([make() for make in chunk])
            logits = model.restart(base, name, values)
        yield list(logits.split(base.n_images))


def patches_of(
    setter: Setter, base: Tensor, indices: Sequence[tuple[int, ...]], source: Tensor
) -> list[Patch]:
    """One patch per index; the setter may write into what it gets."""
    return [partial(_patch, setter, base, index, source) for index in indices]


def _patch(setter: Setter, base: Tensor, index: tuple[int, ...], source: Tensor) -> Tensor:
    return setter(base.clone(), index, source)
