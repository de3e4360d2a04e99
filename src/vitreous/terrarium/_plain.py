"""Dataclasses from the plain values that a JSON file has."""

from dataclasses import MISSING, fields
from typing import Any, TypeVar

from vitreous._errors import unknown

Record = TypeVar("Record")

_FORM = "`Scene.to_json` shows the form."


def read_all(name: str, kind: type[Record], values: Any) -> tuple[Record, ...]:
    """A list of them; see `read`."""
    if not isinstance(values, list | tuple):
        raise ValueError(f"`{name}` must be a list; got {values!r:.60}. {_FORM}")
    return tuple(read(f"{name}[{i}]", kind, value) for i, value in enumerate(values))


def read(name: str, kind: type[Record], values: Any) -> Record:
    """A dataclass from a dictionary, as `asdict` makes it.

    Raises:
        UnknownNameError: It has no field of such a name.
        ValueError: It is no dictionary, or a field is missing.
    """
    if not isinstance(values, dict):
        raise ValueError(f"`{name}` must be an object; got {values!r:.60}. {_FORM}")
    known = {field.name: field for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    for each in values:
        if each not in known:
            raise unknown(f"field of `{name}`", each, known, f"It has {', '.join(known)}.")
    for each, field in known.items():
        if each not in values and field.default is MISSING:
            raise ValueError(f"`{name}` must have `{each}`; got none. {_FORM}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
