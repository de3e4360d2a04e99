"""What a kind is, and the register of all kinds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from vitreous._errors import unknown
from vitreous.terrarium._palettes import PALETTES
from vitreous.terrarium._pen import Artist, Drawing, Pen


@dataclass(frozen=True)
class Kind:
    """Something that lives or stands in the terrarium.

    Attributes:
        name: What it is called.
        emoji: One that shows it.
        palettes: Its typical colors, each as likely as the others.
        group: `animal`, `fruit` or `thing`.
        draw: Draws it in a box from -100 to 100.
        n_styles: How many different drawings there are of it.
    """

    name: str
    emoji: str
    palettes: tuple[str, ...]
    group: str
    draw: Artist
    n_styles: int

    def drawing(self, style: int = 0) -> Drawing:
        """The drawing in one of the styles."""
        return _drawn(self, style % self.n_styles)


_GROUPS = ("animal", "fruit", "thing", "shape")
_REGISTER: dict[str, Kind] = {}
_SHAPES: dict[str, Kind] = {}
KINDS: Mapping[str, Kind] = MappingProxyType(_REGISTER)
"""All kinds by name, in the order in which they were added."""
SHAPES: Mapping[str, Kind] = MappingProxyType(_SHAPES)
"""Plain shapes by name, for `sprites` and `repeats`; scenes may name them too."""


def kind(name: str, emoji: str, palettes: str, *, group: str = "thing") -> Callable[[Artist], Kind]:
    """Makes a kind of a function that draws it with a `Pen`.

    Args:
        name: What it is called.
        emoji: One that shows it.
        palettes: Names of its palettes, divided by spaces.
        group: `animal`, `fruit`, `thing`, or `shape` for one that is no kind of its own.

    Raises:
        UnknownNameError: No palette has one of the names.
        ValueError: There is a kind of that name already, no palette, or no such group.
    """
    if group not in _GROUPS:
        raise ValueError(f"`group` must be one of {', '.join(_GROUPS)}; got {group!r}. Choose one.")
    colors = tuple(palettes.split())
    if not (name and emoji and colors):
        raise ValueError(
            "A kind must have a name, an emoji and a palette; got "
            f"{name!r}, {emoji!r} and {palettes!r}. Try `kind('robot', '🤖', 'gray')`."
        )
    for color in colors:
        if color not in PALETTES:
            raise unknown("palette", color, PALETTES, "`PALETTES` lists them all.")

    def made(draw: Artist) -> Kind:
        if name in _REGISTER or name in _SHAPES:
            raise ValueError(
                f"`name` must be that of no other kind; got {name!r} again. Choose another name."
            )
        pen = Pen()
        draw(pen)
        new = Kind(name, emoji, colors, group, draw, pen.n_styles)
        (_SHAPES if group == "shape" else _REGISTER)[name] = new
        return new

    return made


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        UnknownNameError: There is none.
    """
    found = (_REGISTER.get(name) or _SHAPES.get(name)) if isinstance(name, str) else None
    if found is None:
        raise unknown("kind", name, KINDS, "`vitreous.terrarium.KINDS` lists them all.")
    return found


@lru_cache(maxsize=2048)
def _drawn(of: Kind, style: int) -> Drawing:
    pen = Pen(style)
    of.draw(pen)
    return pen.finished()
