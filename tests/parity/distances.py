"""How far the values of a run are from those of a source."""

from typing import Any

import torch
from torch import Tensor


def distance(got: Tensor, truth: Tensor) -> float:
    """The largest, relative to the largest of the truth."""
    assert got.shape == truth.shape
    return ((got.detach().double() - truth.double()).abs().max() / truth.abs().max()).item()


@torch.no_grad()
def distances(
    model: Any, inputs: Tensor, truth: dict[str, Tensor], stored: list[str] | None = None
) -> dict[str, float]:
    """That of each value of a run, and of what comes out."""
    output, cache = model.run_with_cache(inputs, names_filter=stored)
    apart = {name: distance(cache[name], value) for name, value in truth.items()}
    return apart | {"output": distance(output, truth["hook_post_head_pre_normalize"])}


def too_far(apart: dict[str, float]) -> dict[str, float]:
    return {name: far for name, far in apart.items() if not far <= 1e-10}
