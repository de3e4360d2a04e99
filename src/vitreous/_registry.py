"""Which models load: the table behind `vt.list_models` and `vitreous models`.

`models/registry.tsv` is made by `make coverage-models`, never by hand: a row for every architecture
that a source library names, counted in full size and compared with its source on random weights.
The models that come with the package are read from their own folders. No torch is imported here, so
that the table is there at once.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from vitreous._errors import unknown

# How `vt.load` takes a model of a library.
_LOADED_AS = {
    "shipped": "{}",
    "timm": "timm:{}",
    "transformers": "hf:OWNER/NAME",
    "open_clip": "open_clip:{}/TAG",
    "torchvision": "torchvision:{}",
}


@dataclass(frozen=True)
class KnownModel:
    """An architecture that a library names.

    Attributes:
        library: `"timm"`, `"transformers"`, `"open_clip"`, `"torchvision"`, or `"shipped"` for
            models that come with the package.
        family: What is counted together: the class in timm, elsewhere what goes in.
        name: As the library names it; in transformers a class, with the sizes of its config's
            defaults.
        parameters: Of the source's module, in full size.
        image: Pixel rows and columns that it is made for, `"224x224"`, with frames in front where
            it takes clips, `"8x224x224"`; None where it takes texts.
        tokens: Tokens of such an image, or of the longest text; class and register tokens included.
        layers: Blocks.
        width: Channels of the residual stream.
        heads: Heads of a block.
        readout: What the head reads, the kind of a `PoolingConfig`: `"cls"`, `"mean"`, `"map"`
            (attention pooling), `"none"` for every token, and others.
        error: Largest distance from the source over all residual streams and the output, relative
            to the largest value, in float64; None where there is none to compare with.
        reason: Why it doesn't load; empty where it does.

    The sizes of a model that doesn't load are None where they aren't known.
    """

    library: str
    family: str
    name: str
    parameters: int | None = None
    image: str | None = None
    tokens: int | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    readout: str | None = None
    error: float | None = None
    reason: str = ""

    @property
    def loads(self) -> bool:
        """Whether `vt.load` and `vt.from_module` take it."""
        return not self.reason

    @property
    def load_as(self) -> str:
        """The name for `vt.load`; of a transformers class, any repository or folder of it."""
        return _LOADED_AS[self.library].format(self.name)

    @property
    def verified(self) -> str:
        """The error, or why there is none, in a few words."""
        if self.reason:
            return f"no: {self.reason}"
        return "made here" if self.error is None else f"{self.error:.0e}".replace("0e+00", "0")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"load_as": self.load_as, "loads": self.loads} | asdict(self)


class ModelTable(tuple[KnownModel, ...]):
    """Models that print as a table."""

    _COLUMNS = ("library", "family", "architecture", "parameters", "tokens", "readout", "verified")

    def __str__(self) -> str:
        lines = [self._COLUMNS, *(_cells(model) for model in self)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self._COLUMNS))]
        right = {self._COLUMNS.index(column) for column in ("parameters", "tokens")}
        rows = (
            "  ".join(
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )
        return "\n".join(row.rstrip() for row in rows)

    __repr__ = __str__


def _cells(model: KnownModel) -> tuple[str, ...]:
    tokens = "" if model.tokens is None else str(model.tokens)
    count = "" if model.parameters is None else short(model.parameters)
    sizes = (count, tokens, model.readout or "")
    return (model.library, model.family, model.name, *sizes, model.verified)


def short(count: int) -> str:
    """A count in three digits: `86.6M`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:#.3g}".rstrip(".") + letter
    return str(count)


def list_models(
    search: str | None = None,
    *,
    library: str | None = None,
    readout: str | None = None,
    failed: bool = False,
) -> ModelTable:
    """The architectures that libraries name: whether each loads, and how far from its source.

    Args:
        search: Words that must all occur in the name, the library or the family; case is ignored.
        library: Of that library alone.
        readout: With that readout alone.
        failed: Only those that don't load.

    Returns:
        The models, which print as a table; those that come with the package first.

    Raises:
        UnknownNameError: A library or a readout that none has, or no name with these words; it
            gives the nearest names.
    """
    everything = every_model()
    _require_known("library", library, (model.library for model in everything))
    _require_known("readout", readout, (model.readout for model in everything if model.readout))
    named = [model for model in everything if _matches(model, search or "")]
    if not named:
        names = (model.name for model in everything)
        raise unknown("model", search, names, "`vitreous models` lists all.")
    return ModelTable(
        model
        for model in named
        if library in (None, model.library)
        and readout in (None, model.readout)
        and not (failed and model.loads)
    )


def _require_known(what: str, wanted: str | None, there: Iterable[str]) -> None:
    known = list(dict.fromkeys(there))
    if wanted is not None and wanted not in known:
        raise unknown(what, wanted, known, f"There are: {', '.join(known)}.")


def _matches(model: KnownModel, search: str) -> bool:
    text = f"{model.library} {model.family} {model.load_as} {model.name}".lower()
    return all(word in text for word in search.lower().split())


@cache
def every_model() -> ModelTable:
    """All rows, those of models that don't load too."""
    return ModelTable([*_shipped(), *read_registry(registry_file())])


# ---- the file


def registry_file() -> Path:
    return Path(__file__).parent / "models" / "registry.tsv"


def read_registry(path: Path) -> Iterator[KnownModel]:
    """The rows of a file that `write_registry` made."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    names = header.split("\t")
    for line in lines:
        cells = zip(names, line.split("\t"), strict=True)
        yield KnownModel(**{name: _value(name, cell) for name, cell in cells})


def write_registry(path: Path, models: Iterable[KnownModel]) -> None:
    """A line for each model, with a tab between cells."""
    names = [field.name for field in fields(KnownModel)]
    lines = [names, *([_written(getattr(model, name)) for name in names] for model in models)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


_KINDS: dict[str, type] = {"error": float} | dict.fromkeys(
    ("parameters", "tokens", "layers", "width", "heads"), int
)


def _value(name: str, cell: str) -> Any:
    if not cell:
        return "" if name == "reason" else None
    return _KINDS.get(name, str)(cell)


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}"
    return "" if value is None else str(value)


# ---- models that come with the package


def shipped_folder() -> Path:
    """Where the models that come with the package lie."""
    return Path(__file__).parent / "models" / "shipped"


def shipped_models() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.parent.name for path in shipped_folder().glob("*/config.json"))


def _shipped() -> Iterator[KnownModel]:
    for name in shipped_models():
        folder = shipped_folder() / name
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
        (rows, columns), (height, width) = config["image_size"], config["patch_size"]
        prefix = config["cls_token"] + config["distillation_token"] + config["n_registers"]
        yield KnownModel(
            "shipped",
            "image",
            name,
            parameters=_count(folder / "model.safetensors"),
            image=f"{rows}x{columns}",
            tokens=prefix + (rows // height) * (columns // width),
            layers=config["n_layers"],
            width=config["d_model"],
            heads=config["n_heads"],
            readout=config["pooling"]["kind"],
        )


def _count(path: Path) -> int:
    """Numbers in a safetensors file, by the header that it begins with."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(about["shape"]) for about in header.values())
