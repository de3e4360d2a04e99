"""A model from a configuration and a state dict in memory."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vitreous._errors import WeightsError, unknown
from vitreous.models import adapters
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import weight_hash
from vitreous.models._text_config import HookedTextConfig
from vitreous.models._vit import HookedViT
from vitreous.models.adapters._families import OWN, family_of, renamed
from vitreous.models.adapters._parts import filled, filled_text
from vitreous.models.adapters._weight_files import state_dict_of


def from_state_dict(
    cfg: Any, state_dict: Mapping[str, Any], *, tower: adapters.Tower | None = None
) -> Any:
    """Makes a model of weights that you have in memory: your own training run, a file of anyone's.

    Whose names the weights have is seen from the names themselves: ours, timm's, transformers' (of
    version 4 or 5), open_clip's, torchvision's or Prisma's. A head is as large as its weight says.
    The result is in evaluation mode, on the weights' device and in their dtype.

    Args:
        cfg: A `HookedViTConfig` or, for weights by our names, a `HookedTextConfig`; a name behind
            its source (`"timm:NAME"`, `"open_clip:ARCH"`, `"torchvision:NAME"`, `"hf:FOLDER"`), of
            which no weights are downloaded; or a configuration of transformers.
        state_dict: Names and tensors, as `module.state_dict()` gives them; a checkpoint that holds
            it under `state_dict`, `model_state_dict` or `model` will do, with `module.` in front of
            each name or without.
        tower: What to make of a model of images and texts; None means all that there is, where
            configuration and names are of one library, and its image tower elsewhere.

    Raises:
        WeightsError: Weights are missing or too many (the message lists them, and the nearest
            names), have another shape, or are of several dtypes.
        UnsupportedModelError: The configuration has a feature that `HookedViT` lacks.
        TypeError: `cfg` is none.
    """
    tensors = state_dict_of(state_dict, "`state_dict`")
    place = _placement(tensors)
    options = adapters.LoadOptions(dtype=place[1], tensors=tensors, tower=tower)
    own, family = _own_family(cfg), family_of(tensors)
    # A configuration of Prisma's is read with its weights, of either format.
    if isinstance(cfg, HookedTextConfig):
        model = filled_text(cfg, tensors, place, "the state dict", complete=True)
    elif own is not None and (family in (own, None) or own == "prisma"):
        model = _from_source(cfg, options)
    else:
        _require_image(tower)
        described = cfg if own is None else _described(cfg, options)
        model = _from_names(described, family or OWN, tensors, place, folds=own is not None)
    model.card.setdefault("name", cfg if isinstance(cfg, str) else "a state dict")
    model.card["weight_hash"] = weight_hash(model)
    return model.eval().to(place[0])


def _own_family(cfg: Any) -> str | None:
    """Whose configuration it is; None for one of ours."""
    if isinstance(cfg, HookedViTConfig | HookedTextConfig):
        return None
    if isinstance(cfg, str):
        prefix, colon, _ = cfg.partition(":")
        if not colon or prefix not in adapters.LOADERS:
            known = [f"{each}:NAME" for each in adapters.LOADERS]
            hint = f"Known: {', '.join(known)}."
            raise unknown("source of models", cfg, adapters.LOADERS, hint, looks_like=prefix)
        return prefix
    if any(base.__module__.startswith("transformers.") for base in type(cfg).__mro__):
        return "hf"
    raise TypeError(
        "`cfg` must be a `HookedViTConfig` or `HookedTextConfig`, a name as `load` takes it, or a "
        f"configuration of transformers; got {type(cfg).__name__}. `vt.from_module` takes a whole "
        "model."
    )


def _require_image(tower: adapters.Tower | None) -> None:
    if tower not in (None, "image"):
        raise ValueError(
            f"`tower={tower!r}` needs weights by the names of the library that `cfg` is of; got "
            "those of another. Leave it out for the image tower."
        )


def _from_source(cfg: Any, options: adapters.LoadOptions) -> Any:
    """As the source library itself loads weights of its own names."""
    if isinstance(cfg, str):
        prefix, _, name = cfg.partition(":")
        return adapters.loader(prefix).load(name, options).model
    return adapters.loader("hf").load_config(cfg, options)


def _described(cfg: Any, options: adapters.LoadOptions) -> HookedViTConfig:
    if not isinstance(cfg, str):
        return adapters.loader("hf").describe_config(cfg)
    prefix, _, name = cfg.partition(":")
    return adapters.loader(prefix).describe(name, options)


def _from_names(
    cfg: HookedViTConfig,
    family: str,
    tensors: dict[str, Tensor],
    place: tuple[torch.device, torch.dtype],
    *,
    folds: bool,
) -> HookedViT:
    if cfg.stem:
        raise ValueError(
            "`cfg` must describe the whole model; got one with a stem of another library. Use "
            "`vt.from_module`."
        )
    ours = renamed(family, tensors, cfg)
    head = ours.get("head.linear.weight")
    if head is not None and head.ndim == 2:
        cfg = cfg.replace(n_classes=len(head), head_bias="head.linear.bias" in ours)
    if folds:  # LayerScale may be folded already
        cfg = cfg.replace(layer_scale=any(name.endswith(".gain") for name in ours))
    return filled(cfg, ours, place, "the state dict", complete=True, folds=folds)


def _placement(tensors: dict[str, Tensor]) -> tuple[torch.device, torch.dtype]:
    """The device of the weights, and the one dtype that they have."""
    first: dict[torch.dtype, str] = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            first.setdefault(tensor.dtype, name)
    if len(first) != 1:
        found = " and ".join(f"`{name}` in {dtype}" for dtype, name in first.items())
        raise WeightsError(
            "All weights of a state dict must have one floating-point dtype; got "
            f"{found or 'none'}. Convert them: `{{k: x.float() for k, x in state_dict.items()}}`."
        )
    return next(iter(tensors.values())).device, next(iter(first))
