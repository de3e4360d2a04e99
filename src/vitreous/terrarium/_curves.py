"""Outlines as lists of points: ellipses, smooth curves, thick strokes, rounded boxes.

A kind is drawn in a box from -100 to 100, x to the right and y down.
"""

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
Points = Sequence[Point | np.ndarray] | np.ndarray


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0) -> np.ndarray:
    """An ellipse, turned clockwise by degrees."""
    n_points = 40 if max(rx, ry) > 24 else 28 if max(rx, ry) > 10 else 16
    angle = np.arange(n_points) * (2 * np.pi / n_points)
    around = np.stack([rx * np.cos(angle), ry * np.sin(angle)], 1)
    return turned(around, turn) + np.array([x, y])


def turned(points: Points, degrees: float) -> np.ndarray:
    """The points, turned clockwise around the origin."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points, float) @ np.array([[cos, sin], [-sin, cos]])


def smooth(points: Points, *, closed: bool, steps: int = 6) -> np.ndarray:
    """A Catmull-Rom curve through the points."""
    given = np.asarray(points, float)
    if closed:
        before, ahead, after = (np.roll(given, shift, 0) for shift in (1, -1, -2))
        start = given
    else:
        padded = np.concatenate([given[:1], given, given[-1:]])
        before, start, ahead, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    b, s, a, f = (values[:, None, :] for values in (before, start, ahead, after))
    bends = (a - b) * t + (2 * b - 5 * s + 4 * a - f) * t**2 + (3 * s - b - 3 * a + f) * t**3
    curve = (s + bends / 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, given[-1:]])


def ribbon(points: Points, width: float, end_width: float | None = None) -> np.ndarray:
    """A smooth stroke with round ends as a closed outline; it may taper to `end_width`."""
    line = smooth(points, closed=False) if len(points) > 2 else np.asarray(points, float)
    half = np.linspace(width, width if end_width is None else end_width, len(line)) / 2
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], 1) * half[:, None]
    ends = (_cap(line[-1], along[-1], half[-1]), _cap(line[0], -along[0], half[0]))
    return np.concatenate([line - across, ends[0], (line + across)[::-1], ends[1]])


def _cap(end: np.ndarray, along: np.ndarray, radius: float) -> np.ndarray:
    angle = np.arctan2(along[1], along[0]) + np.radians([-60, -30, 0, 30, 60])
    return end + radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def rounded_box(left: float, top: float, right: float, bottom: float, radius: float) -> np.ndarray:
    """A rectangle with round corners."""
    quarter = np.radians(np.linspace(0, 90, 5))
    corner = radius * np.stack([np.cos(quarter), np.sin(quarter)], 1)
    inner = [
        (right - radius, bottom - radius),
        (left + radius, bottom - radius),
        (left + radius, top + radius),
        (right - radius, top + radius),
    ]
    return np.concatenate([turned(corner, 90 * i) + at for i, at in enumerate(inner)])


def outward(outline: np.ndarray) -> np.ndarray:
    """Unit normals that point out of a closed outline."""
    along = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    x, y = outline.T
    area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    return np.stack([along[:, 1], -along[:, 0]], 1) * (1 if area >= 0 else -1)
