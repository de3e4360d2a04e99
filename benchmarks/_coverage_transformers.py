"""Every class of transformers that becomes glass, from several small configurations."""

from collections.abc import Iterator
from typing import Any

from benchmarks._coverage_case import Case, Family
from tests.parity import transformers_models
from vitreous.models.adapters import _transformers_config, _transformers_weights


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
        )


def _image_config(model: Any) -> Any:
    by_place, _, _ = _transformers_weights.placed(model.state_dict())
    return _transformers_config.read_config(model, by_place)


FAMILIES = [Family("transformers", "image", _image_cases, 1.0)]
