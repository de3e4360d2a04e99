"""Every class of transformers that becomes glass, from several small configurations."""

from collections.abc import Iterator
from typing import Any

from benchmarks._coverage_case import Case, Family, as_it_is
from tests.parity import transformers_models, transformers_texts, video_models
from vitreous.models.adapters import (
    _transformers_config,
    _transformers_text,
    _transformers_weights,
)
from vitreous.models.adapters._transformers_correspondence import readout
from vitreous.models.adapters._transformers_video_correspondence import frame_first


def _image_cases() -> Iterator[Case]:
    for variant, (name, _, _) in transformers_models.CASES.items():
        yield Case(
            name,
            lambda variant=variant: transformers_models.random_model(variant),
            transformers_models.random_images,
            transformers_models.layers_of,
            lambda name=name: transformers_models.whole(name),
            _image_config,
            transformers_models.readout,
            variant,
            "image",
        )


def _image_config(model: Any) -> Any:
    by_place, _, _ = _transformers_weights.placed(model.state_dict())
    return _transformers_config.read_config(model, by_place)


def _text_cases() -> Iterator[Case]:
    for variant, (name, _, _) in transformers_texts.CASES.items():
        yield Case(
            name,
            lambda variant=variant: transformers_texts.random_model(variant),
            transformers_texts.random_texts,
            transformers_texts.layers_of,
            lambda name=name: transformers_texts.whole(name),
            _text_config,
            transformers_texts.readout,
            variant,
            tower="text",
        )


def _text_config(model: Any) -> Any:
    by_place, _, _ = _transformers_weights.placed_texts(model.state_dict())
    return _transformers_text.read_text_config(model, by_place)


def _video_cases() -> Iterator[Case]:
    for variant, (name, _) in video_models.CASES.items():
        yield Case(
            name,
            lambda variant=variant: video_models.random_model(variant),
            video_models.random_inputs,
            transformers_models.layers_of,
            lambda name=name: video_models.whole(name),
            _image_config,
            readout,
            variant,
            arrange=frame_first if name.startswith("Timesformer") else as_it_is,
        )


FAMILIES = [
    Family("transformers", "image", _image_cases, 1.0),
    Family("transformers", "text", _text_cases, 1.0),
    Family("transformers", "video", _video_cases, 1.0),
]
