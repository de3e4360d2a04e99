"""Car, bicycle and house."""

# The points of an outline stay together.
# fmt: off
from itertools import pairwise

import numpy as np

from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("car", "🚗", "red blue yellow green")
def car(pen: Pen) -> None:
    roof = pen.choose("roof", "plain", "rack")
    if roof == "rack":
        pen.box("rack", (-38, -66, 30, -52), "wood", radius=4)
    pen.blob("cabin", [(-64, 6), (-48, -40), (-24, -52), (20, -52), (42, -38), (64, 6)])
    pen.outline("windows", [(-50, 0), (-38, -36), (-6, -40), (-6, 0)], "glass")
    pen.outline("windows", [(6, 0), (6, -40), (26, -38), (48, 0)], "glass")
    pen.blob("body", [(-88, 0), (-60, -8), (60, -8), (86, 2), (94, 26), (86, 46), (60, 50),
        (-60, 50), (-86, 46), (-94, 24)])
    pen.box("stripes", (-90, 20, 90, 30), "accent", radius=3, line=False)
    pen.ellipse("lights", (86, 14), (8, 9), "yellow")
    pen.ellipse("lights", (-90, 14), (6, 9), "pink")
    pen.box("door", (-10, 6, 4, 11), "light", radius=2, line=False)
    for x in (-52, 52):
        parts.wheel(pen, x, 48, 27)


@kind("bicycle", "🚲", "red blue green purple")
def bicycle(pen: Pen) -> None:
    basket = pen.choose("basket", "none", "front")
    for x in (-56, 56):
        pen.ellipse("wheels", (x, 38), 43, "tire")
        pen.ellipse("wheels", (x, 38), 34, "white")
        for angle in np.radians([0, 45, 90, 135]):
            dx, dy = 33 * np.cos(angle), 33 * np.sin(angle)
            pen.stroke("spokes", [(x - dx, 38 - dy), (x + dx, 38 + dy)], 3, "steel")
        pen.ellipse("wheels", (x, 38), 6, "tire", line=False)
    for line in (
        [(-56, 38), (-28, -24), (34, -24), (-4, 38), (-56, 38)],
        [(-32, -40), (-4, 38)],
        [(56, 38), (32, -46)],
    ):
        for start, end in pairwise(line):
            pen.stroke("frame", [start, end], 11, "main", line=True)
    pen.ellipse("pedals", (-4, 38), 11, "steel")
    pen.stroke("pedals", [(-4, 38), (6, 58)], 7, "tire")
    pen.blob("saddle", [(-56, -48), (-22, -48), (-10, -40), (-34, -36), (-54, -38)], "tire")
    pen.stroke("handlebar", [(32, -46), (30, -62), (50, -68), (60, -56)], 9, "tire")
    if basket == "front":
        pen.outline("basket", [(48, -54), (96, -54), (88, -16), (56, -16)], "wood")
        pen.stroke("basket", [(52, -42), (92, -42)], 4, "cream")
        pen.stroke("basket", [(54, -29), (90, -29)], 4, "cream")


@kind("house", "🏠", "red brown blue white")
def house(pen: Pen) -> None:
    door = pen.choose("door", "left", "right")
    side = 1 if door == "left" else -1
    pen.box("chimney", (28, -84, 52, -30), "accent", radius=2)
    pen.ellipse("smoke", (44, -92), (14, 9), "white")
    pen.box("walls", (-66, -18, 66, 92), "cream", radius=2)
    pen.outline("roof", [(0, -86), (92, -8), (84, 6), (-84, 6), (-92, -8)])
    for y, reach in ((-14, 70), (-38, 42)):
        pen.stroke("roof", [(-reach, y), (reach, y)], 4, "accent")
    left, right = sorted((-48 * side, -12 * side))
    pen.box("door", (left, 30, right, 92), "wood", radius=4)
    pen.ellipse("door", (-20 * side, 62), 4, "yellow", line=False)
    left, right = sorted((6 * side, 52 * side))
    pen.box("windows", (left, 24, right, 62), "glass", radius=3)
    pen.stroke("windows", [(29 * side, 26), (29 * side, 60)], 5, "white")
    pen.stroke("windows", [(left + 2, 43), (right - 2, 43)], 5, "white")
    pen.box("windows", (left - 4, 62, right + 4, 70), "accent", radius=2)
