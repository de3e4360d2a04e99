"""Apple, banana, orange, strawberry and pear."""

# The points of an outline stay together.
# fmt: off
import numpy as np

from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("apple", "🍎", "red green yellow", group="fruit")
def apple(pen: Pen) -> None:
    leaf = pen.choose("leaf", "right", "none")
    bite = pen.choose("bite", "none", "right")
    pen.blob("flesh", [(0, -38), (36, -56), (74, -34), (76, 20), (48, 74), (18, 86), (0, 80),
        (-18, 86), (-48, 74), (-76, 20), (-74, -34), (-36, -56)])
    pen.blob("flesh", [(-40, 66), (-66, 18), (-62, -24), (-48, 20), (-18, 72)], "dark", line=False)
    parts.shine(pen, "flesh", 38, -26, 20, 35)
    if bite == "right":
        for y in (-14, 14, 40):
            pen.ellipse("bite", (70, y), 19, "cream")
        pen.ellipse("bite", (76, 13), (15, 36), "cream", line=False)
    pen.ellipse("stem", (0, -42), (17, 7), "dark", line=False)
    pen.stroke("stem", [(0, -40), (2, -66), (12, -86)], 9, "wood", line=True)
    if leaf == "right":
        parts.leaf(pen, 8, -62, 48, 16)


@kind("banana", "🍌", "yellow green brown", group="fruit")
def banana(pen: Pen) -> None:
    bunch = pen.choose("bunch", "one", "two")
    if bunch == "two":
        pen.blob("flesh", [(54, -70), (68, -62), (92, -14), (84, 42), (42, 86), (26, 84), (40, 52),
            (56, 8), (50, -34)], "dark")
    pen.blob("flesh", [(38, -72), (60, -68), (70, -10), (42, 48), (-14, 78), (-74, 72), (-88, 56),
        (-52, 46), (-4, 22), (26, -20)])
    pen.blob("flesh", [(54, -50), (60, -8), (34, 40), (-16, 68), (-64, 66), (-12, 52), (26, 20),
        (48, -22)], "dark", line=False)
    pen.stroke("ridge", [(44, -60), (42, -14), (12, 28), (-34, 52), (-74, 58)], 5, "light")
    pen.outline("tip", [(-92, 50), (-78, 50), (-72, 70), (-86, 74)], "wood")
    pen.outline("stem", [(36, -92), (56, -94), (64, -64), (36, -66)], "wood")


@kind("orange", "🍊", "ginger yellow", group="fruit")
def orange(pen: Pen) -> None:
    cut = pen.choose("cut", "right", "left")
    side = 1 if cut == "right" else -1
    pen.ellipse("peel", (-18 * side, -8), 68)
    parts.shine(pen, "peel", -40 * side, -36, 18)
    for x, y in [(-60, 4), (-44, 28), (-30, -2), (-16, -46), (-48, -8), (4, -24)]:
        pen.ellipse("peel", (x * side, y), 3, "dark", line=False)
    pen.stroke("stem", [(-18 * side, -70), (-18 * side, -84)], 9, "wood", line=True)
    parts.leaf(pen, -16 * side, -72, 52 * side, 12)
    pen.ellipse("slice", (40 * side, 40), 50)
    pen.ellipse("slice", (40 * side, 40), 43, "cream", line=False)
    for angle in range(0, 360, 45):
        middle, edges = (np.radians(angle), np.radians([angle - 18, angle - 8, angle + 8, angle +
            18]))
        tip = [(40 * side + 7 * np.cos(middle), 40 + 7 * np.sin(middle))]
        rim = [(40 * side + 38 * np.cos(a), 40 + 38 * np.sin(a)) for a in edges]
        pen.outline("slice", tip + rim, "main", line=False)


@kind("strawberry", "🍓", "red pink white", group="fruit")
def strawberry(pen: Pen) -> None:
    seeds = pen.choose("seeds", "many", "few")
    pen.blob("flesh", [(0, -46), (46, -56), (74, -24), (60, 28), (24, 78), (0, 94), (-24, 78),
        (-60, 28), (-74, -24), (-46, -56)])
    rows = [(-16, (-48, -18, 16, 46)), (12, (-36, -4, 30)), (38, (-22, 10)), (62, (-4,))]
    for y, columns in rows if seeds == "many" else rows[::2]:
        for x in columns:
            pen.ellipse("seeds", (x, y), (5, 7.5), "yellow", line=False)
    angle = np.radians(np.arange(0, 360, 24) - 90)
    radius = np.where(np.arange(15) % 2, 26, 62)
    crown = np.stack([radius * np.cos(angle), -54 + radius * 0.5 * np.sin(angle)], 1)
    pen.outline("leaf", crown, "leaf")
    pen.stroke("stem", [(0, -56), (4, -76), (16, -92)], 9, "leaf", line=True)


@kind("pear", "🍐", "green yellow brown", group="fruit")
def pear(pen: Pen) -> None:
    leaf = pen.choose("leaf", "right", "none")
    pen.blob("flesh", [(0, -70), (22, -58), (30, -26), (58, 14), (62, 60), (34, 90), (0, 92),
        (-34, 90), (-62, 60), (-58, 14), (-30, -26), (-22, -58)])
    pen.blob("flesh", [(-30, 80), (-54, 56), (-48, 18), (-34, 40), (-8, 82)], "dark", line=False)
    parts.shine(pen, "flesh", 26, 26, 20, 60)
    parts.spots(pen, [(-10, 60, 3), (12, 66, 3), (2, 44, 3), (-18, 30, 3), (-4, 12, 3)], "dark")
    pen.stroke("stem", [(0, -66), (2, -82), (12, -96)], 9, "wood", line=True)
    if leaf == "right":
        parts.leaf(pen, 6, -76, 46, 12)
