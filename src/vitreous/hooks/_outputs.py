"""What a module returned, taken apart and put together again."""

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils import _pytree as pytree

_WORDS = ("key", "idx", "name")  # of dictionaries, of sequences, of named tuples


def parts_of(output: Any) -> list[tuple[str, Any]]:
    """Everything in a nest of tuples, lists, dictionaries and dataclasses, by where it lies.

    Returns:
        Pairs of place (`[logits]`, `[hidden][0]`, or nothing for `output` itself) and value.
    """
    leaves, _ = pytree.tree_flatten_with_path(output)
    placed = (("".join(map(_place, keys)), leaf) for keys, leaf in leaves)
    return [part for place, leaf in placed for part in _below(place, leaf)]


def with_parts(output: Any, values: Sequence[Any]) -> Any:
    """The same nest with other values, in the order of `parts_of`; itself if they are its own."""
    if all(new is old for new, (_, old) in zip(values, parts_of(output), strict=True)):
        return output
    remaining = iter(values)
    leaves, structure = pytree.tree_flatten(output)
    return pytree.tree_unflatten([_rebuilt(leaf, remaining) for leaf in leaves], structure)


def _below(place: str, leaf: Any) -> Iterator[tuple[str, Any]]:
    if not _is_record(leaf):
        yield place, leaf
        return
    for name, value in _fields_of(leaf).items():
        yield from ((f"{place}[{name}]{part}", inner) for part, inner in parts_of(value))


def _rebuilt(leaf: Any, remaining: Iterator[Any]) -> Any:
    if not _is_record(leaf):
        return next(remaining)
    new = copy.copy(leaf)  # past its constructor, which may want other arguments
    put = object.__setattr__ if leaf.__dataclass_params__.frozen else setattr
    for name, value in _fields_of(leaf).items():
        inner = [next(remaining) for _ in parts_of(value)]
        put(new, name, with_parts(value, inner))
    return new


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields_of(record: Any) -> dict[str, Any]:
    names = (each.name for each in dataclasses.fields(record))
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


def _place(key: Any) -> str:
    return f"[{next((getattr(key, word) for word in _WORDS if hasattr(key, word)), key)}]"
