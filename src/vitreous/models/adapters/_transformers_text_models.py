"""The text towers of transformers, from files or from a module."""

from typing import Any

import torch
from torch import Tensor

from vitreous.models._text import HookedTextTransformer
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Weights
from vitreous.models.adapters._parts import filled_text, placement, unsupported
from vitreous.models.adapters._transformers_config import transformers_module
from vitreous.models.adapters._transformers_files import Files
from vitreous.models.adapters._transformers_source import fitted, original
from vitreous.models.adapters._transformers_text import CLASSES, check_text, read_text_config
from vitreous.models.adapters._transformers_tokenizer import tokenizer_in, tokenizer_of
from vitreous.models.adapters._transformers_weights import (
    assembled_text,
    is_unread_by_texts,
    placed_texts,
)


def load_text(files: Files, given: Weights, options: LoadOptions) -> Loaded:
    """The text tower of a repository, whose weights may be those of both towers."""
    found = placed_texts(given.tensors)
    module = _skeleton(files, found[0])
    converted = fitted(given.where, found, placed_texts(module.state_dict()), options.dtype)
    model = _build(module, converted, (torch.device("cpu"), options.dtype), given.where)
    model.tokenizer = files.tokenizer(model.cfg)
    return Loaded(model, lambda: original(module, given, is_unread_by_texts))


def _skeleton(files: Files, tensors: dict[str, Tensor]) -> Any:
    """The module that the weights belong to, without memory for its own."""
    config = files.config(frozenset(CLASSES))
    plain, projected = CLASSES[config.model_type]
    tower, head = getattr(config, "text_config", config), tensors.get("head.linear.weight")
    if head is not None:  # what a config says of its width may be of the whole
        setattr(tower, "projection_dim" if projected else "projection_size", len(head))
    name = projected if projected and head is not None else plain
    with torch.device("meta"):
        return getattr(transformers_module(), name)(tower)


def convert_text(module: Any, processor: Any = None) -> HookedTextTransformer:
    """A `HookedTextTransformer` with a copy of a text tower's weights.

    Args:
        module: A model of one of the known classes.
        processor: Its tokenizer, or a processor that has it.

    Raises:
        UnsupportedModelError: A feature that `HookedTextTransformer` lacks.
    """
    check_text(module)
    by_place, _, unknown = placed_texts(module.state_dict())
    if unknown:
        raise unsupported(f"Each weight must be one of a text tower; got `{unknown[0]}`")
    model = _build(module, by_place, placement(module), f"`{type(module).__name__}`")
    model.tokenizer = tokenizer_of(tokenizer_in(processor), model.cfg)
    return model


def _build(
    module: Any, by_place: dict[str, Tensor], place: tuple[torch.device, torch.dtype], source: str
) -> HookedTextTransformer:
    cfg = read_text_config(module, by_place)
    return filled_text(cfg, assembled_text(by_place), place, source)
