"""The work behind `vitreous check`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vitreous.models import CheckReport, load_with_original


def check_model(
    name: str, weights: Path | None, images: Sequence[Path], device: str
) -> tuple[CheckReport, str]:
    """Runs the identities of a model, and compares it with its source where it has one.

    Returns:
        The tables, and what is to be said below them.
    """
    loaded = load_with_original(name, weights=weights, device=_device(device))
    model: Any = loaded.model
    original = loaded.original
    pictures = model.preprocess(list(images)) if images else None
    report = model.check(pictures, source=None if original is None else original())
    if original is None:
        return report, f"`{name}` has no source library to compare it with."
    return report, ""


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"`--device` must be one that torch can use here; got {name!r}. Pass cpu or cuda."
        ) from error
    return device
