"""Painted words of a scene."""

from functools import lru_cache
from itertools import pairwise

from vitreous.data import LETTER_HEIGHT, letter_strokes, letters_width
from vitreous.terrarium._pen import Drawing, Pen


def width(text: str) -> int:
    """How wide a text is, in heights of its letters, rounded up."""
    return -(-letters_width(text) // LETTER_HEIGHT)


@lru_cache(maxsize=512)
def lettering(text: str, *, label: bool) -> Drawing:
    """The text in the middle of the pen's box, its letters 20 high.

    Raises:
        ValueError: A character has no strokes.
    """
    strokes, pen = letter_strokes(text), Pen()
    step = 20 / LETTER_HEIGHT
    left = -letters_width(text) * step / 2
    if label:
        pen.box("words", (left - 10, -18, -left + 10, 18), "white", radius=6)
    for stroke in strokes:
        points = [
            (left + column * step, (row - LETTER_HEIGHT / 2) * step) for column, row in stroke
        ]
        _write(pen, points, "ink" if label else "white", line=not label)
    return pen.finished()


def _write(pen: Pen, points: list[tuple[float, float]], tone: str, *, line: bool) -> None:
    for start, end in pairwise(points):
        if start == end:
            pen.ellipse("words", start, 2.6, tone, line=line)
        else:
            pen.stroke("words", [start, end], 4.4, tone, line=line)
