"""Every class of transformers that becomes glass, from several small configurations."""

from collections.abc import Iterator

from benchmarks._coverage_case import Case
from tests.parity import transformers_models


def transformers_cases() -> Iterator[Case]:
    """A case for each class and configuration."""
    for name, (kind, _, _) in transformers_models.CASES.items():
        yield Case(
            f"{kind} ({name})",
            lambda name=name: transformers_models.random_model(name),
            transformers_models.random_images,
            transformers_models.layers_of,
            transformers_models.readout,
        )
