"""A frame that shows a document inside of another page, as high as what it shows.

A sandboxed frame can't tell the page around it how high it is. So its height is computed here, as a
function of its width, and CSS draws straight lines between the widths of `_KNOTS`.
"""

import html
import itertools
import math
from collections.abc import Callable, Sequence

STACKED_BELOW = 640
"""In frames narrower than this many pixels, `page.css` puts one thing below the other."""

_KNOTS = (280, 330, 390, 440, 504, 570, STACKED_BELOW - 1, STACKED_BELOW, 740, 860, 1000, 1120)
MARGIN = 12
"""Around the content of an embedded document, in pixels."""
_ROOM = 12  # for a line that grows while one points at things
_LETTER = 0.5  # mean width of a letter, in font sizes


def frame(
    title: str, document: str, height: Callable[[float], float], at_most: str | None = None
) -> str:
    """An `<iframe>` of a document in a sandbox, as high as it is at the width that it gets.

    Args:
        title: What a screen reader calls the frame.
        document: The document's HTML.
        height: The height of the document's content at a width of that content, in pixels.
        at_most: A CSS length; a higher document scrolls.
    """
    length = _interpolated(lambda width: height(width - 2 * MARGIN) + 2 * MARGIN + _ROOM)
    if at_most:
        length = f"min({at_most}, {length})"
    return (
        '<div style="container-type: inline-size; width: 100%">'
        '<iframe sandbox="allow-scripts allow-downloads" '
        f'style="display: block; width: 100%; height: {length}; border: 0" '
        f'title="{html.escape(title)}" srcdoc="{html.escape(document)}"></iframe></div>'
    )


def lines(text: str, width: float, size: float) -> int:
    """About how many lines a text takes at a width and a font size, both in pixels."""
    return math.ceil(_LETTER * size * len(text) / max(width, size))


def wrapped(widths: Sequence[float], gap: float, width: float) -> int:
    """How many rows boxes of these widths take in a flow of this width."""
    rows, filled = 1, -gap
    for box in widths:
        fits = filled + gap + box <= width
        rows, filled = (rows, filled + gap + box) if fits else (rows + 1, box)
    return rows


def _interpolated(height: Callable[[float], float]) -> str:
    """CSS that is `height` at each knot, and runs straight from one to the next."""
    heights = [math.ceil(height(width)) for width in _KNOTS]
    terms = [f"{heights[0]}px"]
    for (start, end), (low, high) in zip(
        itertools.pairwise(_KNOTS), itertools.pairwise(heights), strict=True
    ):
        rise, slope = high - low, (high - low) / (end - start)
        bounds = (f"{min(rise, 0)}px", f"{max(rise, 0)}px")
        terms.append(f"clamp({bounds[0]}, (100cqw - {start}px) * {slope:.4g}, {bounds[1]})")
    return f"calc({' + '.join(terms)})"
