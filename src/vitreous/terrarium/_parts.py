"""Parts that several kinds share: eyes, ears, wheels, stripes, leaves."""

# The points of an outline stay together.
# fmt: off
from collections.abc import Sequence

from vitreous.terrarium._curves import Points
from vitreous.terrarium._pen import Pen


def eyes(pen: Pen, x: float, y: float, size: float = 8) -> None:
    """Two dark eyes with a glint, at both sides of the middle."""
    with pen.both_sides():
        pen.ellipse("eyes", (x, y), (size, size * 1.25), "ink", line=False)
    for side in (-x, x):
        pen.ellipse("eyes", (side - size * 0.3, y - size * 0.45), size * 0.42, "white", line=False)


def one_eye(pen: Pen, x: float, y: float, size: float = 10) -> None:
    """The eye of an animal seen from the side."""
    pen.ellipse("eyes", (x, y), size, "white")
    pen.ellipse("eyes", (x + size * 0.2, y), size * 0.62, "ink", line=False)
    pen.ellipse("eyes", (x, y - size * 0.3), size * 0.25, "white", line=False)


def pointed_ears(pen: Pen, x: float, y: float, size: float) -> None:
    """Upright triangular ears with a pink inside."""
    with pen.both_sides():
        pen.outline("ears", [(x - size, y), (x + size * 0.35, y - size * 1.5), (x + size * 0.75, y +
            size * 0.5)])
        pen.outline("ears", [(x - size * 0.5, y), (x + size * 0.25, y - size * 0.95), (x + size *
            0.48, y + size * 0.3)], "pink", line=False)


def round_ears(pen: Pen, x: float, y: float, size: float) -> None:
    """Small round ears."""
    with pen.both_sides():
        pen.ellipse("ears", (x, y), size)
        pen.ellipse("ears", (x, y), size * 0.55, "pink", line=False)


def floppy_ears(pen: Pen, x: float, y: float, length: float) -> None:
    """Ears that hang down."""
    with pen.both_sides():
        pen.blob("ears", [(x - 12, y - 4), (x + 8, y - 6), (x + 24, y + length * 0.4), (x + 20, y +
            length), (x + 4, y + length * 0.9), (x - 2, y + length * 0.4)], "accent")


def muzzle(pen: Pen, y: float, size: float, nose: str = "pink") -> None:
    """Two cheeks under a small nose."""
    with pen.both_sides():
        pen.ellipse("snout", (size * 0.55, y), (size * 0.75, size * 0.58), "light", line=False)
    pen.blob("nose", [(-size * 0.36, y - size * 0.5), (size * 0.36, y - size * 0.5), (0, y - size *
        0.05)], nose)


def whiskers(pen: Pen, y: float, near: float, far: float) -> None:
    """Three whiskers at both sides."""
    with pen.both_sides():
        for slope in (-9, 1, 11):
            pen.stroke("whiskers", [(near, y + slope * 0.4), (far, y + slope)], 3, "ink")


def smile(pen: Pen, x: float, y: float, width: float, depth: float = 7) -> None:
    """A line that bends upward at both ends."""
    pen.stroke("mouth", [(x - width, y), (x, y + depth), (x + width, y)], 4, "ink")


def stripes(pen: Pen, strokes: Sequence[Points], width: float = 7, tone: str = "accent") -> None:
    """Tapered stripes."""
    for points in strokes:
        pen.stroke("stripes", points, width, tone, end=width * 0.35)


def spots(pen: Pen, places: Sequence[tuple[float, float, float]], tone: str = "accent") -> None:
    """Round spots: x, y and radius of each."""
    for x, y, radius in places:
        pen.ellipse("spots", (x, y), radius, tone, line=False)


def wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    """A tire with a hub."""
    pen.ellipse("wheels", (x, y), radius, "tire")
    pen.ellipse("wheels", (x, y), radius * 0.55, "steel", line=False)
    pen.ellipse("wheels", (x, y), radius * 0.2, "tire", line=False)


def feet(pen: Pen, x: float, y: float, tone: str = "main") -> None:
    """Two paws."""
    with pen.both_sides():
        pen.ellipse("feet", (x, y), (18, 12), tone)


def leaf(pen: Pen, x: float, y: float, length: float, rise: float) -> None:
    """A leaf from (x, y) to the right."""
    pen.blob("leaf", [(x, y), (x + length * 0.35, y - rise - length * 0.2), (x + length, y - rise),
        (x + length * 0.6, y + length * 0.12)], "leaf")
    pen.stroke("leaf", [(x + 4, y - 2), (x + length * 0.7, y - rise * 0.75)], 3, "~leaf")


def shine(pen: Pen, part: str, x: float, y: float, size: float, turn: float = -40) -> None:
    """A highlight."""
    pen.ellipse(part, (x, y), (size, size * 0.5), "light", turn=turn, line=False)
