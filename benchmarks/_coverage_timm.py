"""Every name of timm's that builds a transformer of one of three families."""

from collections.abc import Iterator

from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

from benchmarks._coverage_case import Case, Family
from tests.parity import timm_models
from vitreous.models.adapters import _timm_config


def _cases(family: type) -> Iterator[Case]:
    for name in timm_models.names(family):
        yield Case(
            name,
            lambda name=name: timm_models.random_model(name),
            timm_models.random_images,
            lambda model: model.blocks,
            lambda name=name: timm_models.whole(name),
            lambda model: _timm_config.read_model(model).config,
        )


FAMILIES = [
    Family("timm", "VisionTransformer", lambda: _cases(VisionTransformer), 0.98),
    Family("timm", "Eva", lambda: _cases(Eva), 0.95),
    Family("timm", "Beit", lambda: _cases(Beit), 0.95),
]
