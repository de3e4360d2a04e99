"""Where the values come from that a sweep puts in place of those of a run."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Ablate, Intervention, Means
from vitreous.models import GlassTransformer, Pairs, TransformerCache, stream
from vitreous.patching._runs import require_one_of, sides
from vitreous.training import means

MakeIntervention = Callable[[str], Intervention]
Reference = Means | Images | Tensor

_NAMED = ("patch", "mean", "zero", "resample")


class Replacement(ABC):
    """Values for every point of one batch of pairs.

    Attributes:
        description: Where they come from, in words that a report prints.
        digest: Tells two of them apart in a file.
    """

    description: str
    digest: str = ""

    @abstractmethod
    def at(
        self, model: GlassTransformer, base: TransformerCache, rows: slice, names: Sequence[str]
    ) -> "Callable[[str], Tensor]":
        """For some pairs: from the name of a point to values of its shape.

        Args:
            model: Whose values they are.
            base: The run that they are put into.
            rows: Which pairs these are.
            names: What a run must store for all points.
        """


@dataclass
class OfInputs(Replacement):
    """The values of a run on other images, one for each pair, under all active hooks."""

    inputs: Tensor
    description: str

    @property
    def digest(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return digest_of(self.inputs)

    def at(
        self, model: GlassTransformer, base: TransformerCache, rows: slice, names: Sequence[str]
    ) -> Callable[[str], Tensor]:
        return recorded(model, self.inputs[rows], names).at


@dataclass
class OfIntervention(Replacement):
    """What an intervention on a whole point makes of the run itself."""

    make: MakeIntervention
    description: str
    digest: str = ""

    def at(
        self, model: GlassTransformer, base: TransformerCache, rows: slice, names: Sequence[str]
    ) -> Callable[[str], Tensor]:
        def edited(name: str) -> Tensor:
            values = base.at(name).clone()
            for where, function in self.make(name).hooks(model):
                if where != name:
                    raise ValueError(
                        f"`intervention` must act on the site that it is given, `{name}`; got "
                        f"one on `{where}`. Make it with that site."
                    )
                changed = function(values, model.hook_dict[name])
                values = values if changed is None else changed
            return values

        return edited


def recorded(model: GlassTransformer, inputs: Tensor, names: Sequence[str]) -> TransformerCache:
    """What a run holds that is to be restarted, under all active hooks."""
    with torch.no_grad():
        return model.run_with_cache(inputs, names_filter=list(names), return_type=None)[1]


def replacement_of(
    intervention: str | MakeIntervention,
    reference: Reference | None,
    pairs: Pairs,
    direction: str,
    points: Sequence[str],
    cache: TransformerCache | None,
    seed: int,
) -> Replacement:
    """What `intervention` means for these pairs at these points."""
    if callable(intervention):
        name = getattr(intervention, "__qualname__", type(intervention).__name__)
        return OfIntervention(intervention, name)
    require_one_of("intervention", intervention, _NAMED)
    if intervention == "patch":
        source = sides(direction)[1]
        return OfInputs(getattr(pairs, source), f"the {source} run")
    if intervention == "zero":
        return OfIntervention(lambda name: Ablate(name, "zero"), "zero")
    if intervention == "resample":
        return _resampled(pairs, reference, seed)
    whose = _means_of(pairs, reference, points, cache)
    digest = digest_of(*(whose.at(name) for name in points))
    return OfIntervention(lambda name: Ablate(name, "mean", whose), whose.description, digest)


def digest_of(*tensors: Tensor) -> str:
    """The first 12 digits of a hash over all entries."""
    digest = hashlib.sha256()
    for value in tensors:
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{value.dtype}{list(value.shape)}".encode() + plain.numpy().tobytes())
    return digest.hexdigest()[:12]


def _resampled(pairs: Pairs, reference: Any, seed: int) -> OfInputs:
    """Another image for each one: of the reference, or, without one, of the images themselves."""
    generator, n_images = torch.Generator().manual_seed(seed), len(pairs)
    if isinstance(reference, Means):
        raise TypeError(
            "`reference` must be images for intervention 'resample'; got Means. Pass images, or "
            "use 'mean'."
        )
    if reference is not None:
        drawn = torch.randint(len(reference), (n_images,), generator=generator)
        bank = torch.cat([b.pixels for b in stream(pairs.model, reference)])  # pyright: ignore[reportArgumentType]
        whose = f"an image of {len(bank)}, drawn with seed {seed}"
        return OfInputs(bank[drawn.to(bank.device)], whose)
    if n_images == 1:
        raise ValueError(
            "`reference` must give images to draw from where there is a single one; got none. "
            "Pass more images, or `reference=`."
        )
    order = torch.randperm(n_images, generator=generator)
    other = torch.empty_like(order)
    other[order] = order.roll(1)  # nobody draws itself
    whose = f"another one of these {n_images} images, drawn with seed {seed}"
    return OfInputs(pairs.clean[other.to(pairs.clean.device)], whose)


def _means_of(
    pairs: Pairs, reference: Any, points: Sequence[str], cache: TransformerCache | None
) -> Means:
    model = pairs.model
    if isinstance(reference, Means):
        return reference
    if reference is not None:
        return means(model, reference, list(points))  # pyright: ignore[reportArgumentType]
    if model.means is not None:
        return model.means
    if cache is None:
        names = [name for point in points for name in model.restart_names(point)]
        cache = recorded(model, pairs.clean, list(dict.fromkeys(names)))
    return _own_means(model, cache, points)


def _own_means(model: GlassTransformer, cache: TransformerCache, points: Sequence[str]) -> Means:
    """The mean over the tokens of the run itself: all there is without a reference."""
    axes = {name: model.axes(name) for name in points}
    over = ("image", "token", "query")
    own = "this image's" if cache.n_images == 1 else f"these {cache.n_images} images'"
    return Means(
        values={
            name: cache.at(name).mean([i for i, axis in enumerate(axes[name]) if axis in over])
            for name in points
        },
        by=None,
        axes=axes,
        count=cache.n_images,
        description=f"the mean over {own} own tokens (no reference was given)",
    )
