"""Pictures that come with the package."""

from importlib import resources
from pathlib import Path

from vitreous._errors import unknown


def sample(name: str = "digit") -> Path:
    """The path of a shipped picture.

    Args:
        name: "digit": a handwritten digit from the test split of `digits`, at the size that the
            model `digits` takes.

    Raises:
        UnknownNameError: There is no such picture.
    """
    folder = Path(str(resources.files("vitreous.data"))) / "samples"
    names = sorted(file.stem for file in folder.glob("*.png"))
    if name not in names:
        raise unknown("sample", name, names, f"There are: {', '.join(names)}.")
    return folder / f"{name}.png"
