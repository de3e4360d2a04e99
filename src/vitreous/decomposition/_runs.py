"""Runs of a model on a data set, batch by batch, each with its target."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.models import (
    HookedCLIP,
    HookedViT,
    Target,
    TransformerCache,
    ZeroShotClassifier,
    image_tower,
    require_finite,
    stream,
)

Model = HookedViT | HookedCLIP | ZeroShotClassifier
Pixels = Float[Tensor, "batch *frames channels rows columns"] | Images

OUTPUT = "hook_post_head_pre_normalize"
# What a readout is made of, where a model has it.
_READOUT = (
    OUTPUT,
    "ln_final.hook_scale",
    "pooling.map.hook_pattern",
    "pooling.map.hook_mlp_out",
    "pooling.map.out_norm.hook_scale",
)
_EMBEDDING = ("hook_embed", "ln_pre.hook_scale")


class Run(NamedTuple):
    """Some images, what went on inside, and what is asked of them."""

    cache: TransformerCache
    target: Target

    @property
    def value(self) -> Float[Tensor, " batch"]:
        """The target of each image."""
        return self.target(require_finite(self.cache.at(OUTPUT), OUTPUT))


def asked(model: Model, target: Target | Any) -> Target:
    """A target of the image tower, from one or from what `model.target` takes."""
    if isinstance(target, Target):
        return image_tower(model).target(target)
    return model.target(target)


def runs(
    model: Model,
    images: Pixels,
    target: Target,
    names: Iterable[str],
    *,
    cache: TransformerCache | None = None,
    batch_size: int | None = None,
) -> Iterator[Run]:
    """Runs the image tower batch by batch, and holds one batch at a time.

    Args:
        model: The model.
        images: What it sees.
        target: What is asked of all of them.
        names: What to keep of each block, without its number, such as `"attn.hook_z"`; those that
            the model lacks don't count. Embedding and readout are kept too.
        cache: A run on all of the images, to read instead of running the model.
        batch_size: Images at once; None means what `stream` takes.
    """
    tower, target = image_tower(model), target
    target.on_outputs()  # a function has no readout: raise before the model runs
    if len(images):
        target.require_rows(len(images))
    if cache is not None:
        _require_run_on(images, cache)
        yield Run(cache, target)
        return
    kept = _kept(tower, names)
    for batch in stream(tower, images, batch_size=batch_size):
        seen = tower.run_with_cache(batch.pixels, names_filter=kept)[1]
        yield Run(seen, target.of_images(batch.index))


def _kept(tower: HookedViT, names: Iterable[str]) -> list[str]:
    blocks = [f"blocks.{layer}.{name}" for name in names for layer in range(tower.cfg.n_layers)]
    return [name for name in (*_EMBEDDING, *_READOUT, *blocks) if name in tower.hook_dict]


def _require_run_on(images: Pixels, cache: TransformerCache) -> None:
    if len(images) != cache.n_images:
        raise ValueError(
            f"`cache` must be a run on these {len(images)} images; got one on {cache.n_images}. "
            "Leave it out, or pass the images that were run."
        )
