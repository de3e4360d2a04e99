"""Plain shapes: those of `sprites`, and more for `repeats`."""

import numpy as np

from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("square", "⬜", "white", group="shape")
def square(pen: Pen) -> None:
    pen.outline("shape", [(-70, -70), (70, -70), (70, 70), (-70, 70)], "main", line=False)


@kind("oval", "⬭", "white", group="shape")
def oval(pen: Pen) -> None:
    pen.ellipse("shape", (0, 0), (92, 48), "main", line=False)


@kind("heart", "🤍", "white", group="shape")
def heart(pen: Pen) -> None:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    pen.outline("shape", np.stack([16 * np.sin(t), -y - 2], 1) * 5.2, "main", line=False)


@kind("triangle", "🔺", "white", group="shape")
def triangle(pen: Pen) -> None:
    pen.outline("shape", [(0, -86), (90, 70), (-90, 70)], "main", line=False)


@kind("disk", "⚪", "white", group="shape")
def disk(pen: Pen) -> None:
    pen.ellipse("shape", (0, 0), 80, "main", line=False)


@kind("cross", "✚", "white", group="shape")
def cross(pen: Pen) -> None:
    pen.box("shape", (-28, -86, 28, 86), "main", radius=6, line=False)
    pen.box("shape", (-86, -28, 86, 28), "main", radius=6, line=False)


@kind("ring", "⭕", "white", group="shape")
def ring(pen: Pen) -> None:
    pen.ellipse("shape", (0, 0), 84, "main", line=False)
    pen.ellipse("shape", (0, 0), 44, "accent", line=False)


@kind("star", "⭐", "white", group="shape")
def star(pen: Pen) -> None:
    angle = np.radians(np.arange(0, 360, 36) - 90)
    radius = np.where(np.arange(10) % 2, 40, 94)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    pen.outline("shape", points, "main", line=False)
