"""How a timm model's images were prepared and what its classes are called, by its own record."""

from typing import Any

from vitreous._optional import needs
from vitreous.data import (
    IMAGENET_SIZES,
    ClassNames,
    Preprocessing,
    imagenet_names,
    recognized_names,
)
from vitreous.models._config import HookedViTConfig


def preprocessing_of(module: Any, cfg: HookedViTConfig) -> Preprocessing | None:
    """The evaluation transform that timm would use, at the model's image size.

    None where the model has no record (`pretrained_cfg`), or one for other color channels.
    """
    about = getattr(module, "pretrained_cfg", None)
    if not about:
        return None
    data = needs("timm.data", extra="timm", feature='load("timm:...")')
    known = data.resolve_data_config(pretrained_cfg=about, model=module)
    mean, std = tuple(known["mean"]), tuple(known["std"])
    if cfg.n_channels not in (1, 3) or not len(mean) == len(std) == cfg.n_channels:
        return None
    return Preprocessing(
        cfg.image_size,  # type: ignore[arg-type]
        mean,
        std,
        interpolation=known["interpolation"],
        crop_fraction=known["crop_pct"],
        crop_mode=known["crop_mode"],
        n_channels=cfg.n_channels,
    )


def labels_of(module: Any) -> ClassNames | None:
    """The names on record; ImageNet's, with synonyms, where the weights are of its classes.

    Of ImageNet's, number and record are all there is to go by: a head of as many classes that was
    trained on something else and left the record as it was gets these names too.
    """
    about = getattr(module, "pretrained_cfg", None) or {}
    has_weights = any(about.get(source) for source in ("url", "hf_hub_id", "file"))
    n_classes, names = module.num_classes, about.get("label_names")
    if names is not None and len(names) == n_classes:
        return recognized_names(names)
    if not has_weights or n_classes != about.get("num_classes") or n_classes not in IMAGENET_SIZES:
        return None
    return imagenet_names(n_classes)
