"""What may stand in a scene: plain whole numbers within bounds, truth values, names."""

import operator
from typing import Any


def whole(
    name: str, value: Any, low: int | None = None, high: int | None = None, hint: str = ""
) -> int:
    """A whole number of any kind (numpy and torch have several) as an int.

    Raises:
        ValueError: It is something else, or not in `low` .. `high`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        said = _said(f"`{name}` must be a whole number", value, hint or "Pass an int.")
        raise ValueError(said) from None
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"at least {low}" if high is None else f"in {low}..{high}"
        raise ValueError(_said(f"`{name}` must be {bounds}", value, hint or "Choose another."))
    return number


def wholes(name: str, values: Any, count: int, low: int, high: int) -> tuple[int, ...]:
    """That many whole numbers as a tuple.

    Raises:
        ValueError: They are something else, or one isn't in `low` .. `high`.
    """
    if not isinstance(values, tuple | list) or len(values) != count:
        raise ValueError(_said(f"`{name}` must be {count} whole numbers", values, "Pass a tuple."))
    return tuple(whole(name, value, low, high) for value in values)


def truth(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, bool):
        raise ValueError(_said(f"`{name}` must be True or False", value, "Pass a bool."))
    return value


def instance(name: str, value: Any, kind: type, hint: str = "Pass one.") -> None:
    """Raises `ValueError` for what is of another kind."""
    if not isinstance(value, kind):
        raise ValueError(_said(f"`{name}` must be of type {kind.__name__}", value, hint))


def put(record: Any, **values: Any) -> None:
    """Sets fields behind a frozen class: the same values in their plain form."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _said(what: str, value: Any, hint: str) -> str:
    got = repr(value)
    return f"{what}; got {got if len(got) <= 80 else f'{got[:77]}...'}. {hint}"
