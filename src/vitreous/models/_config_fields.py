"""What may stand in a field of a configuration."""

import numbers
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, get_args

from vitreous._errors import unknown


def require(holds: bool, what: str, got: Any, how: str) -> None:
    """Raises in the one wording for all errors unless it holds."""
    if not holds:
        raise ValueError(f"{what}; got {got}. {how}.")


def whole(name: str, size: Any, *, may_be_none: bool = False) -> Any:
    """A whole number of any kind (numpy has several) as an int."""
    fits = (may_be_none and size is None) or _is_whole(size)
    what = f"`{name}` must be a whole number" + " or None" * may_be_none
    require(fits, what, repr(size), "Pass an int")
    return None if size is None else int(size)


def pair(name: str, size: Any) -> tuple[int, int]:
    """Pixel rows and columns; one number means a square."""
    sides = list(size) if isinstance(size, tuple | list) else [size, size]
    require(
        len(sides) == 2 and all(_is_whole(side) and side > 0 for side in sides),
        f"`{name}` must be one positive whole number, or rows and columns",
        repr(size),
        "Pass one number, or a pair of them",
    )
    return int(sides[0]), int(sides[1])


def require_kind(name: str, got: Any, kinds: Any) -> None:
    """It must be one of the words of a `Literal`."""
    known = get_args(kinds)
    require(got in known, f"`{name}` must be one of {', '.join(known)}", repr(got), "Choose one")


def require_truths(config: Any, *names: str) -> None:
    """Each of these fields must be True or False, and no number that passes for it."""
    for name in names:
        got = getattr(config, name)
        where = f"{type(config).__name__}.{name}"
        require(isinstance(got, bool), f"`{where}` must be True or False", repr(got), "Pass a bool")


def require_part(name: str, got: Any, kind: type, *, may_be_none: bool = True) -> None:
    """It must be a configuration of that kind."""
    require(
        isinstance(got, kind) or (may_be_none and got is None),
        f"`{name}` must be of type {kind.__name__}" + " or None" * may_be_none,
        repr(got),
        f"Pass `{kind.__name__}(...)`",
    )


def require_known(owner: str, given: Iterable[str], kind: Any) -> None:
    """All of these must be fields of a configuration."""
    known = [each.name for each in fields(kind)]
    for name in given:
        if name not in known:
            raise unknown(f"field of {owner}", name, known, f"It has {', '.join(known)}.")


def read_fields(owner: str, kind: Any, plain: Any) -> dict[str, Any]:
    """The fields of a configuration from a dictionary: all known, and none missing."""
    require(isinstance(plain, dict), f"{owner} must be a dictionary", repr(plain), "Pass one")
    require_known(owner, plain, kind)
    needed = (f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    for each in needed:
        require(each.name in plain, f"{owner} must have `{each.name}`", "none", "Add it")
    return dict(plain)


def _is_whole(size: Any) -> bool:
    return isinstance(size, numbers.Integral) and not isinstance(size, bool)
