"""Every image tower of open_clip that is a vision transformer."""

from collections.abc import Iterator

from benchmarks._coverage_case import Case
from tests.parity import open_clip_models


def open_clip_cases() -> Iterator[Case]:
    """A case for each configuration."""
    for name in open_clip_models.names():
        yield Case(
            name,
            lambda name=name: open_clip_models.random_tower(name),
            open_clip_models.random_images,
            open_clip_models.blocks,
            open_clip_models.embedding,
        )
