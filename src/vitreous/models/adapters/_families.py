"""The names that weights have in each library: which one a state dict is of, and ours for them.

A family is known by the names of the weights alone. No source library is needed to read them.
"""

import re
from collections.abc import Iterable

from torch import Tensor

from vitreous._errors import WeightsError
from vitreous.models._config import HookedViTConfig
from vitreous.models.adapters import (
    _open_clip_config,
    _prisma_first,
    _prisma_hooked,
    _timm_names,
    _torchvision,
    _transformers_weights,
)

# Of the prefix of a name, whose names its weights have. Prisma had two formats.
FAMILIES = {
    "timm": _timm_names,
    "hf": _transformers_weights,
    "open_clip": _open_clip_config,
    "torchvision": _torchvision,
    "prisma": _prisma_hooked,
    "prisma, first": _prisma_first,
}
OWN = "vitreous"

_OURS = re.compile(
    r"(embedding\.(patch|patch_norm|cls_token|distillation_token|registers|pos|pos_time)|ln_pre|ln_final"
    r"|rotary|pooling\.map|head\.(linear|distillation)"
    r"|blocks\.\d+\.(ln[12]|ln_time|attn(?:_time)?\.(qkv|out|gain|q_norm|k_norm|z_norm|out_norm|relative_bias)"
    r"|mlp\.(fc_in|fc_linear|fc_out|gain|norm|in_norm|out_norm)))(\.|$)"
)


def family_of(names: Iterable[str]) -> str | None:
    """The family that knows most of the names; None where none knows any."""
    names = list(names)
    known = {OWN: sum(_OURS.match(name) is not None for name in names)}
    for family, module in FAMILIES.items():
        known[family] = sum(module.knows(name) for name in names)
    best = max(known, key=lambda family: known[family])
    return best if known[best] else None


def renamed(family: str, tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A family's weights under our names; one that nobody knows keeps its own.

    Raises:
        WeightsError: One is missing that others are put together with.
    """
    if family == OWN:
        return tensors
    try:
        return FAMILIES[family].renamed(tensors, cfg)
    except KeyError as error:
        raise WeightsError(
            f"The state dict must have all weights of the model; {error} is missing. Use the "
            "weights of this architecture."
        ) from error
