"""Where TimeSformer has the values of our hook points: it takes clips apart in ways of its own.

Its stream stands by row, column and frame. Its attention over time sees a sequence for each place,
without the class token; that over space sees one for each frame, each with a copy of the class
token.
"""

from typing import Any

import torch
from torch import Tensor

from vitreous.models.adapters._correspondence import (
    FINAL,
    Seen,
    View,
    by_heads,
    comes_out,
    goes_in,
    normalized_last,
)


def frame_first(value: Tensor, cfg: Any) -> Tensor:
    """A stream in our order; what is no stream stays as it is."""
    frames, rows, columns = cfg.places
    if value.ndim != 3 or value.shape[1] != cfg.n_prefix + frames * rows * columns:
        return value
    prefix, patches = value[:, : cfg.n_prefix], value[:, cfg.n_prefix :]
    patches = patches.unflatten(1, (rows * columns, frames)).transpose(1, 2).flatten(1, 2)
    return torch.cat([prefix, patches], 1)


def _from_frames(value: Tensor, cfg: Any) -> Tensor:
    """`[(batch frames) (class token and places) width]`; class tokens are averaged."""
    value = value.unflatten(0, (-1, cfg.places[0]))
    return torch.cat([value[:, :, :1].mean(1), value[:, :, 1:].flatten(1, 2)], 1)


def _from_places(value: Tensor, cfg: Any) -> Tensor:
    """`[(batch places) frames width]`, and zeros for the class token."""
    value = value.unflatten(0, (-1, cfg.grid[0] * cfg.grid[1])).transpose(1, 2).flatten(1, 2)
    return torch.cat([value.new_zeros(len(value), 1, value.shape[-1]), value], 1)


def _patches(value: Tensor, cfg: Any) -> Tensor:
    """`[batch patches width]` in TimeSformer's order, and zeros for the class token."""
    zeros = value.new_zeros(len(value), 1, value.shape[-1])
    return frame_first(torch.cat([zeros, value], 1), cfg)


def _third_from_frames(place: int) -> View:
    return lambda value, cfg: by_heads(_from_frames(value, cfg).chunk(3, -1)[place], cfg)


DIVIDED: tuple[Seen, ...] = (
    goes_in(
        "attn_time.hook_z",
        "temporal_attention.output.dense",
        view=lambda value, cfg: by_heads(_from_places(value, cfg), cfg),
    ),
    comes_out("hook_attn_time_out", "temporal_dense", view=_patches),
    goes_in("hook_resid_time", "layernorm_before", view=_from_frames),
    comes_out("ln1.hook_normalized", "layernorm_before", view=_from_frames),
    *(
        comes_out(f"attn.hook_{x}", "attention.attention.qkv", view=_third_from_frames(place))
        for place, x in enumerate("qkv")
    ),
    goes_in(
        "attn.hook_z",
        "attention.output.dense",
        view=lambda value, cfg: by_heads(_from_frames(value, cfg), cfg),
    ),
    comes_out("hook_attn_out", "attention", view=_from_frames),
    # In front of the rows of others, of which one takes the second call of a drop path for this.
    comes_out("hook_mlp_out", "output.dense"),
)

OUTSIDE: tuple[Seen, ...] = (
    comes_out("hook_full_embed", "embeddings", view=frame_first),
    comes_out(
        "hook_ln_final",
        "layernorm",
        view=lambda value, cfg: normalized_last(frame_first(value, cfg), cfg),
        where=FINAL,
    ),
)
