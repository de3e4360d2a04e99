"""What a timm transformer is made of, read off the module and never off its name."""

from typing import Any, NamedTuple

from torch import nn

from vitreous.models._config import HookedViTConfig
from vitreous.models.adapters._parts import check_untouched, unsupported
from vitreous.models.adapters._timm_attention import (
    Around,
    plain_kinds,
    relative_kinds,
    rotary_kinds,
)
from vitreous.models.adapters._timm_blocks import read_blocks
from vitreous.models.adapters._timm_embedding import read_embedding
from vitreous.models.adapters._timm_pooling import read_pooling
from vitreous.models.adapters._timm_rotary import read_rotary
from vitreous.models.adapters._timm_source import Part, Tensors, timm_module


class Reading(NamedTuple):
    """A timm model in our terms.

    Attributes:
        config: What it is made of.
        tensors: Its weights by our names.
        stem: The module that embeds patches, where that isn't a convolution.
    """

    config: HookedViTConfig
    tensors: Tensors
    stem: nn.Module | None


def read_model(module: Any) -> Reading:
    """What the module is made of; it may lie on the meta device.

    Raises:
        UnsupportedModelError: A part that `HookedViT` lacks, or a weight that has no place in it.
    """
    family = _family(module)
    _check_untouched(module, family)
    model = Part(module)
    model.inert("pos_drop", "patch_drop", "head_drop")
    embedding = read_embedding(model)
    rotary = read_rotary(model, embedding.grid, embedding.n_prefix)
    around = Around(
        _attention_kinds(family),
        embedding.n_prefix,
        embedding.grid,
        rotary.config,
        _shared_bias(model, embedding.grid),
    )
    blocks, pooling = read_blocks(model, around), read_pooling(model, embedding.n_prefix)
    ln_pre, before = model.norm("norm_pre", "ln_pre") if model.has("norm_pre") else (None, {})
    if model.unread:
        name = next(iter(model.unread.values()))
        raise unsupported(f"Each weight must be one that `HookedViT` has; got `{name}`")
    fields: dict[str, Any] = {"ln_pre": ln_pre} | embedding.fields | blocks.fields | pooling.fields
    try:
        config = HookedViTConfig(d_model=module.embed_dim, **fields)
    except ValueError as error:  # whose end says what to do about a configuration
        raise unsupported(str(error).rpartition(". ")[0]) from error
    tensors = embedding.tensors | before | blocks.tensors | pooling.tensors | rotary.tensors
    return Reading(config, tensors, embedding.stem)


def families() -> tuple[type, ...]:
    """The classes that are read, each in front of its bases."""
    return (
        timm_module("timm.models.deit").VisionTransformerDistilled,
        timm_module("timm.models.vision_transformer").VisionTransformer,
        timm_module("timm.models.eva").Eva,
        timm_module("timm.models.beit").Beit,
    )


def _family(module: nn.Module) -> Any:
    for family in families():
        if isinstance(module, family):
            return family
    names = " or ".join(f"`{family.__name__}`" for family in families())
    raise unsupported(f"A timm model must be a {names}; got a `{type(module).__name__}`")


def _attention_kinds(family: type) -> tuple[type, ...]:
    """An attention of another family would be called without what it needs."""
    if family is timm_module("timm.models.eva").Eva:
        return rotary_kinds()
    is_beit = family is timm_module("timm.models.beit").Beit
    return relative_kinds() if is_beit else plain_kinds()


def _shared_bias(model: Part, grid: tuple[int, int]) -> Any:
    """The table of relative positions that all layers add to their scores."""
    if not model.has("rel_pos_bias"):
        return None
    kind = timm_module("timm.models.beit").RelativePositionBias
    part = model.child("rel_pos_bias", kind)
    if tuple(part.module.window_size) != grid:
        raise unsupported(
            f"Relative positions must be those of the {grid} patches; got "
            f"{tuple(part.module.window_size)} at `{part.where}`"
        )
    return part.tensor("relative_position_bias_table")


_METHODS = ("forward", "forward_features", "forward_head", "pool", "_pos_embed")


def _check_untouched(module: nn.Module, family: Any) -> None:
    """No forward pass but the class's own: no override, no monkeypatch, no hook."""
    for method in _METHODS:
        if getattr(type(module), method, None) is not getattr(family, method, None):
            raise unsupported(
                f"`{method}` must be that of timm's `{family.__name__}`; got one of "
                f"`{type(module).__name__}`'s own"
            )
    check_untouched(module, *_METHODS[1:])
