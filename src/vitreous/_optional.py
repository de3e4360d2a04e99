"""The one way to import a library that isn't installed with the core."""

import importlib
from types import ModuleType

from vitreous._errors import MissingDependencyError


def needs(module: str, *, extra: str, feature: str) -> ModuleType:
    """Imports an optional library, or says in one line which extra brings it.

    Args:
        module: Import name, for example `"timm"`.
        extra: The extra of `vitreous` that installs it.
        feature: What the user called, as they would type it.

    Raises:
        MissingDependencyError: The library isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != top:
            raise  # the library is there, and something that it imports itself is not
        raise MissingDependencyError(
            f"`{feature}` needs {top}, which is not installed. "
            f"Run `pip install 'vitreous[{extra}]'`."
        ) from error
