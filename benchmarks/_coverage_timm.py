"""Every name of timm's that builds a transformer of one of three families."""

from collections.abc import Iterator

from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

from benchmarks._coverage_case import Case
from tests.parity import timm_models


def vision_transformer_cases() -> Iterator[Case]:
    return _cases(VisionTransformer)


def eva_cases() -> Iterator[Case]:
    return _cases(Eva)


def beit_cases() -> Iterator[Case]:
    return _cases(Beit)


def _cases(family: type) -> Iterator[Case]:
    for name in timm_models.names(family):
        yield Case(
            name,
            lambda name=name: timm_models.random_model(name),
            timm_models.random_images,
            lambda model: model.blocks,
        )
