"""Every tower of open_clip that is a transformer."""

from collections.abc import Iterator
from typing import Any

from benchmarks._coverage_case import Case, Family
from tests.parity import open_clip_models, open_clip_texts
from vitreous.models.adapters import _open_clip_config, _open_clip_text, _timm_config


def _image_cases() -> Iterator[Case]:
    for name in open_clip_models.names():
        yield Case(
            name,
            lambda name=name: open_clip_models.random_tower(name),
            open_clip_models.random_images,
            open_clip_models.blocks,
            lambda name=name: open_clip_models.whole(name),
            _image_config,
            open_clip_models.embedding,
        )


def _image_config(tower: Any) -> Any:
    if hasattr(tower, "trunk"):
        return _timm_config.read_model(tower.trunk).config
    return _open_clip_config.read_config(tower)


def _text_cases() -> Iterator[Case]:
    for name in open_clip_texts.names():
        yield Case(
            name,
            lambda name=name: open_clip_texts.random_tower(name),
            open_clip_texts.random_texts,
            open_clip_texts.blocks,
            lambda name=name: open_clip_texts.whole(name),
            lambda tower: _open_clip_text.read_text_config(_open_clip_text.find_text(tower)),
            open_clip_texts.embedding,
            tower="text",
        )


FAMILIES = [
    Family("open_clip", "image", _image_cases, 0.95),
    Family("open_clip", "text", _text_cases, 0.95),
]
LEFT_OUT = {"open_clip": open_clip_texts.hugging_face_names}
