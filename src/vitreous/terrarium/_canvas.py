"""The canvas: four by four samples a pixel, and every sample owned by exactly one ink.

That is what makes masks exact: an ink's coverage of a pixel is the number of samples that it
owns, so coverages partition a pixel, and a pixel without a foreign sample is the backdrop's byte
for byte.

Coordinates become whole samples, and the points of an outline lie on even and odd sample rows in
turn. Pillow's scan conversion is done in floating point, and an edge that spans an odd number of
rows never crosses a row midway between two samples; so no result hangs on a last bit.
"""

import numpy as np
from PIL import Image, ImageDraw

from vitreous.terrarium._pen import NORMAL, UNIT, Drawing

SAMPLES = 4
SIDE = 1000
"""A picture's side in the units of a scene."""
TURN = 65536

_angles = np.radians(np.arange(3600) / 10)
_COS = [int(value) for value in np.rint(np.cos(_angles) * TURN)]
_SIN = [int(value) for value in np.rint(np.sin(_angles) * TURN)]


class Canvas:
    """Numbers of inks, painted one over the other."""

    def __init__(self, size: int, n_inks: int = 256) -> None:
        self.size = size
        mode = "L" if n_inks <= 256 else "I"
        self.image = Image.new(mode, (size * SAMPLES, size * SAMPLES))
        self._fill = ImageDraw.Draw(self.image).draw.draw_polygon

    def paint(self, outline: np.ndarray, ink: int) -> None:
        """Fills an outline given in samples, an even number of points."""
        self._fill(outline, ink, 1)


def placed(
    points: np.ndarray,
    normals: np.ndarray,
    *,
    at: tuple[int, int],
    extent: int,
    squeeze: int,
    rotation: int,
    flip: bool,
    stroke: int,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Turns a drawing's points into samples of a picture; the second result is contour lines'.

    All arithmetic is in integers. `extent` is the side of the drawing's box and `stroke` the
    width of the contour line, both in thousandths of the picture's side; `squeeze` is the width
    in percent, and the height is as much larger; `rotation` is in tenths of a degree.
    """
    cos, sin = _COS[rotation % 3600], _SIN[rotation % 3600]
    sign = -1 if flip else 1
    turn = np.array([[sign * cos, sign * sin], [-sin, cos]])
    samples = size * SAMPLES
    box = 200 * UNIT  # of the drawing
    wide = points * (squeeze, 200 - squeeze) // 100
    scaled = (wide @ turn) * (extent * samples) // (box * SIDE)  # in samples * TURN
    fills = scaled + np.array(at) * samples * TURN // SIDE
    outward = (normals @ turn) * (stroke * samples) // (NORMAL * SIDE)
    return _snapped(fills), _snapped(fills + outward)


def _snapped(points: np.ndarray) -> np.ndarray:
    """Whole samples; rows are even at even points and odd at odd ones."""
    columns = (points[:, 0] + TURN // 2) // TURN
    odd = np.arange(len(points)) % 2
    rows = (points[:, 1] + TURN - odd * TURN) // (2 * TURN) * 2 + odd
    return np.stack([columns, rows], 1).astype(np.float32)


def paint_drawing(
    canvas: Canvas, drawing: Drawing, fills: np.ndarray, lines: np.ndarray, first_ink: int
) -> None:
    """Paints all outlines of a drawing, its inks numbered from `first_ink` on."""
    for start, stop, fill, contour in drawing.pieces:
        if contour >= 0:
            canvas.paint(lines[start:stop], first_ink + contour)
        canvas.paint(fills[start:stop], first_ink + fill)
