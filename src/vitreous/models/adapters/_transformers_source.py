"""Weights of transformers beside the module that they are of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from vitreous._errors import WeightsError
from vitreous.models._saving import check_names
from vitreous.models.adapters._options import Weights
from vitreous.models.adapters._transformers_config import transformers_module

# Weights by place, the names that they had, and the names that have no place.
Placed = tuple[dict[str, Tensor], dict[str, str], list[str]]


def fitted(source: str, found: Placed, expected: Placed, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights by place in a dtype, if they are those that a module wants.

    Args:
        source: What a message calls them.
        found: The weights.
        expected: The module's own.
        dtype: Of what is given back.

    Raises:
        WeightsError: Names are missing or unknown, or a tensor doesn't fit.
    """
    tensors, names, unknown = found
    wanted, wanted_names, _ = expected
    unknown = unknown + [names[place] for place in tensors if place not in wanted]
    missing = [wanted_names[place] for place in wanted if place not in tensors]
    check_names(source, missing, unknown)
    for place, tensor in tensors.items():
        _check_fit(source, names[place], tensor, wanted[place])
    return {place: tensor.to(dtype) for place, tensor in tensors.items()}


def _check_fit(source: str, name: str, tensor: Tensor, expected: Tensor) -> None:
    if tensor.shape != expected.shape:
        raise WeightsError(
            f"`{name}` in {source} must have shape {list(expected.shape)}; got "
            f"{list(tensor.shape)}. Use the weights of this configuration."
        )
    if not tensor.is_floating_point():
        raise WeightsError(
            f"`{name}` in {source} must hold floating-point numbers; got {tensor.dtype}. "
            "Use weights that aren't quantized."
        )


def original(skeleton: Any, given: Weights, is_unread: Callable[[str], bool]) -> Any:
    """The library's own module, which reads the names of the weights by itself.

    Args:
        skeleton: A module of the class and configuration, without weights.
        given: Weights by the names that they have in the files.
        is_unread: Whether a weight has no part in what we compute.

    Raises:
        WeightsError: transformers doesn't find all of them.
    """
    with _quiet():
        module, found = type(skeleton).from_pretrained(
            None, config=skeleton.config, state_dict=given.tensors, output_loading_info=True
        )
    missing = sorted(name for name in found["missing_keys"] if not is_unread(name))
    if missing:
        raise WeightsError(
            f"transformers itself must find all weights of {given.where}, or there is nothing to "
            f"compare with; it lacks {len(missing)}, first `{missing[0]}`. Save the model anew "
            "with the installed version of transformers."
        )
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no report of weights that nobody reads."""
    logging = transformers_module("transformers.utils.logging")
    shows_bar, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bar:
            logging.enable_progress_bar()
