"""A word among those that a method knows."""

from typing import Any


def must_be_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raises where the argument `name` is none of the words."""
    if value not in known:
        words = ", ".join(map(repr, known[:-1])) + f" or {known[-1]!r}"
        raise ValueError(f"`{name}` must be {words}; got {value!r}. Pass one of them.")
