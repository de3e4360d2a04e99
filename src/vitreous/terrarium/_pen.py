"""The pen that a kind is drawn with, and the finished drawing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from vitreous.terrarium import _curves as curves
from vitreous.terrarium._curves import Points

UNIT = 64
"""Drawings are kept in 1/64 of the pen's unit, and normals in 1/1024: integers from here on."""
NORMAL = 1024


@dataclass(frozen=True)
class Drawing:
    """A kind in one of its styles, at rest: closed outlines in the order of painting.

    Attributes:
        points: All outlines one after the other, in 1/`UNIT` of the pen's unit.
        normals: What points outward at each, times `NORMAL`.
        pieces: (first point, past the last, fill, contour): two places in `inks`, the second -1
            where the outline has no contour line.
        inks: (part, tone) of each color that the drawing is painted with; a tone that starts
            with `~` is the contour line around it.
        parts: Names of the parts, from back to front.
        style: What was chosen for this style.
    """

    points: np.ndarray
    normals: np.ndarray
    pieces: tuple[tuple[int, int, int, int], ...]
    inks: tuple[tuple[int, str], ...]
    parts: tuple[str, ...]
    style: dict[str, str]


@dataclass
class Pen:
    """Draws outlines, each for a named part and in a tone of the palette.

    Tones: `main`, `light`, `dark` and `accent` come from the palette of the object; the others
    (`ink`, `white`, `pink`, ...) are always the same.
    """

    number: int = 0
    style: dict[str, str] = field(default_factory=dict)
    n_styles: int = 1
    _outlines: list[tuple[str, np.ndarray, str, bool]] = field(default_factory=list)
    _twice: bool = False

    def choose(self, what: str, *options: str) -> str:
        """One of the options, as the style's number says."""
        chosen = options[self.number // self.n_styles % len(options)]
        self.n_styles *= len(options)
        self.style[what] = chosen
        return chosen

    @contextmanager
    def both_sides(self) -> Iterator[None]:
        """Whatever is drawn inside appears on the other side as well."""
        self._twice = True
        yield
        self._twice = False

    def outline(self, part: str, points: Points, tone: str = "main", *, line: bool = True) -> None:
        """A closed outline with corners."""
        for side in (1, -1) if self._twice else (1,):
            self._outlines.append((part, _even(np.asarray(points, float) * (side, 1)), tone, line))

    def blob(self, part: str, points: Points, tone: str = "main", *, line: bool = True) -> None:
        """A closed smooth shape through the points."""
        self.outline(part, curves.smooth(points, closed=True), tone, line=line)

    def ellipse(
        self,
        part: str,
        at: tuple[float, float],
        radii: tuple[float, float] | float,
        tone: str = "main",
        *,
        turn: float = 0,
        line: bool = True,
    ) -> None:
        """An ellipse, or with one radius a disk."""
        rx, ry = radii if isinstance(radii, tuple) else (radii, radii)
        self.outline(part, curves.ellipse(*at, rx, ry, turn), tone, line=line)

    def stroke(
        self,
        part: str,
        points: Points,
        width: float,
        tone: str = "main",
        *,
        end: float | None = None,
        line: bool = False,
    ) -> None:
        """A smooth stroke through the points; it may taper to the width `end`."""
        self.outline(part, curves.ribbon(points, width, end), tone, line=line)

    def box(
        self,
        part: str,
        corners: tuple[float, float, float, float],
        tone: str = "main",
        *,
        radius: float = 4,
        line: bool = True,
    ) -> None:
        """A box (left, top, right, bottom) with round corners."""
        self.outline(part, curves.rounded_box(*corners, radius), tone, line=line)

    @property
    def drawn(self) -> bool:
        """Whether there is anything on the paper."""
        return bool(self._outlines)

    def finished(self) -> Drawing:
        """What was drawn, in integers."""
        parts = tuple(dict.fromkeys(part for part, *_ in self._outlines))
        inks: dict[tuple[int, str], int] = {}
        pieces, first = [], 0
        for part, points, tone, line in self._outlines:
            at = parts.index(part)
            contour = inks.setdefault((at, f"~{tone}"), len(inks)) if line else -1
            fill = inks.setdefault((at, tone), len(inks))
            pieces.append((first, first + len(points), fill, contour))
            first += len(points)
        outlines = [points for _, points, _, _ in self._outlines]
        return Drawing(
            np.rint(np.concatenate(outlines) * UNIT).astype(np.int64),
            np.rint(np.concatenate([*map(curves.outward, outlines)]) * NORMAL).astype(np.int64),
            tuple(pieces),
            tuple(inks),
            parts,
            self.style,
        )


Artist = Callable[[Pen], None]


def _even(points: np.ndarray) -> np.ndarray:
    """The same outline with an even number of points (see `_canvas`)."""
    if len(points) % 2 == 0:
        return points
    between = (points[-1:] + points[:1]) / 2
    return np.concatenate([points, between])
