"""Scenes that come with the package, composed by hand."""

import json
from importlib import resources

from vitreous._errors import unknown
from vitreous.terrarium._scene import Scene

SAMPLE_SCENES: tuple[str, ...] = (
    "cat-and-dog",
    "cat",
    "dog",
    "cat-in-toilet",
    "fruit-bowl",
    "bird-labeled-fish",
)
"""Names of the scenes that come with the package; the first shows most of what a model does."""


def sample_scene(name: str) -> Scene:
    """A scene that comes with the package, to be rendered, changed and explained.

    Args:
        name: One of `SAMPLE_SCENES`. The bowl of "fruit-bowl" is a wide cup, for the world has
            no bowls.

    Raises:
        UnknownNameError: There is no such scene.
    """
    if name not in SAMPLE_SCENES:
        names = ", ".join(SAMPLE_SCENES)
        raise unknown("sample scene", name, SAMPLE_SCENES, f"There are: {names}.")
    file = resources.files("vitreous.terrarium") / "samples" / f"{name}.json"
    return Scene.from_json(json.loads(file.read_text(encoding="utf-8")))
