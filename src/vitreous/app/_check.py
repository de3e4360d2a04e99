"""The work behind `vitreous check`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from vitreous.models import HookedCLIP, Tower, load_with_original

_TOWERS: dict[str, Tower] = {each: each for each in get_args(Tower)}


def check_model(
    name: str, weights: Path | None, images: Sequence[Path], device: str, tower: str | None
) -> Iterator[tuple[str, bool]]:
    """Runs the identities of a model, and compares it with its source where it has one.

    Yields:
        A table and whether all of it holds, for each tower that there is.
    """
    place, asked = _device(device), _tower(tower, images)
    loaded = load_with_original(name, weights=weights, device=place, tower=asked)
    if not isinstance(loaded.model, HookedCLIP):
        yield _table(name, loaded, images)
        return
    for each in ("image", "text"):
        alone = load_with_original(name, weights=weights, device=place, tower=each)
        table, holds = _table(name, alone, images if each == "image" else ())
        yield f"{each} tower\n{table}\n", holds


def _table(name: str, loaded: Any, images: Sequence[Path]) -> tuple[str, bool]:
    model, original = loaded
    pictures = model.preprocess(list(images)) if images else None
    report = model.check(pictures, source=None if original is None else original())
    remark = f"\n`{name}` has no source library to compare it with." if original is None else ""
    return f"{report}{remark}", bool(report)


def _tower(name: str | None, images: Sequence[Path]) -> Tower | None:
    if name is not None and name not in _TOWERS:
        raise ValueError(f"`--tower` must be image, text or both; got {name!r}. Pass one of them.")
    if name == "text" and images:
        raise ValueError(
            f"`--image` must go with an image tower; got {len(images)} with a text tower. "
            "Leave it out."
        )
    return None if name is None else _TOWERS[name]


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"`--device` must be one that torch can use here; got {name!r}. Pass cpu or cuda."
        ) from error
    return device
