"""Mean patterns as maps on cards."""

import numpy as np
import torch
import xarray

from vitreous.models import TokenLayout
from vitreous.view import HeadMap


def average_maps(patterns: xarray.Dataset, layout: TokenLayout) -> list[HeadMap]:
    """By offset; on the patches, what all tokens attend to and what the class token does.

    Args:
        patterns: Of `layer` and `head`, as `head_patterns` returns them.
        layout: Where the patches are.
    """
    maps = [HeadMap("by offset", patterns["by_offset"].to_numpy(), "offsets")]
    for name, called in (("by_cls", "of the class token"), ("received", "mean over queries")):
        values = patterns[name].to_numpy()
        if not np.isnan(values).all():
            on_grid = layout.to_grid(torch.tensor(values), dim=-1)
            maps.append(HeadMap(called, on_grid.numpy()))
    return maps
