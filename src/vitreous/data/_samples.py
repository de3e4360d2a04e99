"""Pictures that come with the package."""

from importlib import resources
from pathlib import Path

from vitreous._errors import unknown

SAMPLES: tuple[str, ...] = ("digit",)
"""Names of the pictures that come with the package; `terrarium.SAMPLE_SCENES` names more."""


def sample(name: str = "digit") -> Path:
    """The path of a shipped picture.

    Args:
        name: One of `SAMPLES`. "digit" is a handwritten digit from the test split of `digits`, at
            the size that the model `digits` takes.

    Raises:
        UnknownNameError: There is no such picture.
    """
    if name not in SAMPLES:
        raise unknown("sample", name, SAMPLES, f"There are: {', '.join(SAMPLES)}.")
    return Path(str(resources.files("vitreous.data"))) / "samples" / f"{name}.png"
