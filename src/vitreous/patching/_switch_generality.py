"""Whether what flips the answer on one pair of images flips it on others."""

from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from vitreous.data import Images
from vitreous.models import HookedViT, Target
from vitreous.patching._switch_question import SwitchQuestion


def switch_generality(
    model: HookedViT,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    switches: xarray.Dataset,
    *,
    max_batch: int = 256,
) -> xarray.Dataset:
    """How general each switch is: on which pairs it flips the answer, beside the one it is from.

    Args:
        model: The model.
        clean: As for `find_switch`, the same pairs or others.
        corrupt: The other images.
        target: As for `find_switch`.
        switches: What `find_switch` found, over heads.
        max_batch: The most runs that share a batch.

    Returns:
        `flips[switch, pair]`; `rate[switch]`, the share of pairs that it flips; `found_on[switch]`,
        how many pairs it was found on; the most general first. `by_head[layer, head]` is the share
        of pairs whose switch that head is in.

    Raises:
        ValueError: No pair had a switch, or switches aren't over heads.
    """
    members = switches["member"]
    if "token" in members.dims or not switches["size"].any():
        raise ValueError(
            "`switches` must hold a set of heads; got "
            f"{'sets with positions' if 'token' in members.dims else 'no set on any pair'}. "
            "Pass what `find_switch(..., over='heads')` found."
        )
    direction = switches.attrs["direction"]
    question = SwitchQuestion.of(model, clean, corrupt, target, direction, max_batch)
    counts = switches["switch"].where(switches["size"] > 0, drop=True).to_series().value_counts()
    first = [int(np.argmax(switches["switch"].values == name)) for name in counts.index]
    flips = torch.stack([
        question.progress_of_one(torch.from_numpy(members.values[pair])[..., None]) > 0
        for pair in first
    ])  # fmt: skip
    order = flips.double().mean(1).argsort(descending=True, stable=True).numpy()
    flips = flips.cpu().numpy()[order]
    return xarray.Dataset(
        {
            "flips": (("switch", "pair"), flips),
            "rate": ("switch", flips.mean(1)),
            "found_on": ("switch", counts.to_numpy()[order]),
            "by_head": members.where(switches["size"] > 0, drop=True).mean("pair"),
        },
        coords={"switch": counts.index.to_numpy()[order].astype(str)},
        attrs={"target_name": question.pairs.target.name, "direction": direction},
    )
