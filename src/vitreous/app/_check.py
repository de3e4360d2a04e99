"""The work behind `vitreous check`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from vitreous.models import CheckReport, load_with_original


def check_model(
    name: str, weights: Path | None, images: Sequence[Path], device: str, tower: str
) -> tuple[CheckReport, str]:
    """Runs the identities of a model, and compares it with its source where it has one.

    Returns:
        The tables, and what is to be said below them.
    """
    kind = _tower(tower, images)
    loaded = load_with_original(name, weights=weights, device=_device(device), tower=kind)
    model: Any = loaded.model
    original = loaded.original
    pictures = model.preprocess(list(images)) if images else None
    report = model.check(pictures, source=None if original is None else original())
    if original is None:
        return report, f"`{name}` has no source library to compare it with."
    return report, ""


def _tower(name: str, images: Sequence[Path]) -> Literal["image", "text"]:
    if name not in ("image", "text"):
        raise ValueError(f"`--tower` must be image or text; got {name!r}. Pass one of them.")
    if name == "text" and images:
        raise ValueError(
            f"`--image` must go with an image tower; got {len(images)} with a text tower. "
            "Leave it out."
        )
    return name


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"`--device` must be one that torch can use here; got {name!r}. Pass cpu or cuda."
        ) from error
    return device
