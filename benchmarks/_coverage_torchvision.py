"""torchvision's vision transformers."""

from collections.abc import Iterator

from benchmarks._coverage_case import Case, Family
from tests.parity import torchvision_models
from vitreous.models.adapters import _torchvision


def _cases() -> Iterator[Case]:
    for name in torchvision_models.names():
        yield Case(
            name,
            lambda name=name: torchvision_models.random_model(name),
            torchvision_models.random_images,
            lambda model: model.encoder.layers,
            lambda name=name: torchvision_models.whole(name),
            _torchvision.read_config,
        )


FAMILIES = [Family("torchvision", "image", _cases, 1.0)]
