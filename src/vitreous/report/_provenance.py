"""Where an explanation comes from: the facts at the end of a report."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vitreous.data import Preprocessing
from vitreous.models import HookedViT, image_tower
from vitreous.report._evidence import Evidence, Provenance
from vitreous.report._question import Model
from vitreous.terrarium import Scene, caption


def provenance(model: Model, image: Any, evidence: Evidence) -> Provenance:
    """Names the image, the model, its weights and preprocessing, the versions and the time."""
    facts = {
        "Image": image_name(image),
        **_model_facts(model),
        "Ablation reference": evidence.reference,
        "Runs": "one forward pass for all of it; the ablation sweep apart",
        **_circumstances(),
    }
    return Provenance(image_name(image), model_name(model), facts)


def data_set_facts(model: Model, images: str) -> dict[str, str]:
    """The same for a report on a data set, which is described in words."""
    return {"Images": images, **_model_facts(model), **_circumstances()}


def model_name(model: Model) -> str:
    """What a report calls a model."""
    return str(_card(model).get("name", "a model without a name"))


def _card(model: Model) -> dict[str, Any]:
    return getattr(model, "card", None) or image_tower(model).card


def _model_facts(model: Model) -> dict[str, str]:
    card, tower = _card(model), image_tower(model)
    return {
        "Model": _described(tower, model_name(model)),
        "Source of the weights": str(card.get("source", "not stated")),
        "Weight hash": str(card.get("weight_hash", "not stated")),
        "Preprocessing": _prepared(tower.preprocessing),
        "Arithmetic": f"{_dtype(tower)} on {tower.placement.device}",
    }


def _circumstances() -> dict[str, str]:
    return {
        "Versions": f"vitreous {version('vitreous')}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "Made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def image_name(image: Any) -> str:
    """What to call an image: its file's name, what it shows, or what it is."""
    if isinstance(image, Scene):
        return caption(image)
    if isinstance(image, Image.Image):
        image = getattr(image, "filename", "") or "an image in memory"
    if isinstance(image, str | Path):
        return Path(image).name
    file = getattr(image, "name", None)
    return Path(file).name if isinstance(file, str) else "an image in memory"


def _described(model: HookedViT, name: str) -> str:
    cfg = model.cfg
    width = f"width {cfg.d_model}" + (", attention only" if cfg.attn_only else "")
    return f"{name}: {cfg.n_layers} layers × {cfg.n_heads} heads, {width}"


def _prepared(preprocessing: Preprocessing | None) -> str:
    if preprocessing is None:
        return "none known; shown with its darkest value as black and its brightest as white"
    mean, std = (
        ", ".join(f"{value:.4g}" for value in values) for values in _statistics(preprocessing)
    )
    rows, columns = preprocessing.image_size
    size, side = f"{rows} × {columns} pixels", preprocessing.patch_size
    how = f"{preprocessing.crop_mode} crop of {preprocessing.crop_fraction:g}"
    if preprocessing.max_patches is not None:
        size, how = f"up to {preprocessing.max_patches} patches of {side} × {side} pixels", "whole"
    return f"{size}, {preprocessing.interpolation}, {how}, mean {mean}, standard deviation {std}"


def _statistics(preprocessing: Preprocessing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(preprocessing.mean), tuple(preprocessing.std)


def _dtype(model: HookedViT) -> str:
    return str(model.placement.dtype).removeprefix("torch.")
