"""One adapter per source library: configuration, weights, preprocessing and labels to ours.

An adapter is a module here, imported when a name or a module asks for it, and its library when it
is called (`vitreous._optional.needs` names the extra where it isn't installed). It has what its
place in the tables below asks for:

- in `LOADERS`: `load(name, options)`, the `Loaded` model of a name behind the prefix, beside the
  library's own; `describe(name, options)` gives the configuration alone, for weights by other names
  (not Prisma);
- in `CONVERTERS`: `converts(module)`, whether it is responsible for a module,
  `convert(module, processor)`, the model that is equal to it (or `UnsupportedModelError`), and
  `correspondence(module)`, where the module has the values of our hook points;
- `OPTIONS`, the names of the `LoadOptions` that it understands. One that understands `tower` takes
  that in `convert` and `correspondence` too.
"""

import importlib
from types import ModuleType
from typing import Any

from torch import nn

from vitreous.models.adapters._folders import writer_of
from vitreous.models.adapters._loaded import Loaded
from vitreous.models.adapters._options import LoadOptions, Tower

__all__ = [
    "CONVERTERS",
    "LOADERS",
    "LoadOptions",
    "Loaded",
    "Tower",
    "convert",
    "converter",
    "correspondence",
    "loader",
    "writer_of",
]

# The prefix of a name, and the adapter that loads it.
LOADERS: dict[str, str] = {
    "timm": "_timm",
    "open_clip": "_open_clip",
    "torchvision": "_torchvision",
    "prisma": "_prisma",
    "hf": "_transformers",
}

# The package of a module's class or of a base of it, and the adapter that may convert it.
CONVERTERS: dict[str, str] = {
    "timm": "_timm",
    "open_clip": "_open_clip",
    "torchvision": "_torchvision",
    "transformers": "_transformers",
}


def loader(prefix: str) -> ModuleType:
    """The adapter that loads what `PREFIX:NAME` names."""
    return _adapter(LOADERS[prefix])


def converter(module: nn.Module) -> ModuleType | None:
    """The adapter that is responsible for a module; None where none is.

    A module of a library exists only where that library is imported: to ask costs nothing.
    """
    packages = {base.__module__.partition(".")[0] for base in type(module).__mro__}
    for package, name in CONVERTERS.items():
        if package in packages and _adapter(name).converts(module):
            return _adapter(name)
    return None


def convert(
    adapter: ModuleType, module: nn.Module, processor: Any = None, tower: Tower | None = None
) -> Any:
    """The model that is equal to a module, or to a tower of it."""
    return adapter.convert(module, processor, *_asked(adapter, tower))


def correspondence(adapter: ModuleType, module: nn.Module, tower: Tower) -> Any:
    """Where a module, or a tower of it, has the values of our hook points."""
    return adapter.correspondence(module, *_asked(adapter, tower))


def _asked(adapter: ModuleType, tower: Tower | None) -> tuple[Tower | None, ...]:
    return (tower,) if "tower" in adapter.OPTIONS else ()


def _adapter(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
