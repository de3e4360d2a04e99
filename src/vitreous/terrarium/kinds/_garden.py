"""Tree, flower, mushroom and butterfly."""

# The points of an outline stay together.
# fmt: off
import numpy as np

from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("tree", "🌳", "green ginger pink")
def tree(pen: Pen) -> None:
    fruit = pen.choose("fruit", "none", "red")
    pen.outline("trunk", [(-15, 20), (15, 20), (16, 74), (30, 96), (-30, 96), (-16, 74)], "wood")
    crown = [(-46, 10, 34), (46, 10, 34), (0, 20, 34), (-54, -28, 34), (54, -28, 34),
        (-26, -58, 36), (28, -58, 36)]
    for x, y, radius in crown:
        pen.ellipse("crown", (x, y), radius)
    pen.ellipse("crown", (0, -18), (60, 44), line=False)
    for x, y, radius in [(-30, -56, 20), (22, -62, 18), (-50, -22, 14), (10, -24, 16)]:
        pen.ellipse("crown", (x, y), (radius, radius * 0.7), "light", line=False)
    for x, y in [(42, 12), (-36, 14), (4, 22)]:
        pen.ellipse("crown", (x, y), (17, 9), "dark", line=False)
    if fruit == "red":
        for x, y in [(-40, -6), (34, -36), (-8, -50), (48, 4), (2, 6)]:
            pen.ellipse("fruit", (x, y), 10, "red")


@kind("flower", "🌼", "pink yellow purple white")
def flower(pen: Pen) -> None:
    petals = pen.choose("petals", "six", "eight")
    step = 60 if petals == "six" else 45
    pen.stroke("stem", [(0, 0), (4, 50), (0, 97)], 10, "leaf", line=True)
    parts.leaf(pen, 4, 84, 52, 24)
    parts.leaf(pen, 0, 92, -50, 22)
    for angle in range(0, 360, step):
        turn = np.radians(angle)
        at = (44 * np.cos(turn), -30 + 44 * np.sin(turn))
        pen.ellipse("petals", at, (27, 22 if step == 60 else 17), turn=angle)
    for angle in range(0, 360, step):
        turn = np.radians(angle)
        pen.ellipse("petals", (38 * np.cos(turn), -30 + 38 * np.sin(turn)), (13, 6), "accent",
            turn=angle, line=False)
    pen.ellipse("center", (0, -30), 25, "orange")
    for x, y in [(-8, -36), (8, -36), (0, -24), (-10, -22), (11, -23)]:
        pen.ellipse("center", (x, y), 3.5, "wood", line=False)


@kind("mushroom", "🍄", "red brown purple")
def mushroom(pen: Pen) -> None:
    spots = pen.choose("spots", "large", "small")
    pen.blob("stem", [(-26, 6), (26, 6), (24, 50), (36, 88), (0, 95), (-36, 88), (-24, 50)],
        "cream")
    pen.blob("skirt", [(-30, 20), (30, 20), (40, 38), (20, 34), (0, 42), (-20, 34), (-40, 38)],
        "white")
    pen.blob("cap", [(0, -90), (52, -74), (86, -24), (88, 10), (50, 22), (0, 24), (-50, 22),
        (-88, 10), (-86, -24), (-52, -74)])
    large = [(0, -54, 20), (-48, -26, 16), (46, -30, 17), (-4, 0, 13), (74, 2, 8), (-70, 4, 8)]
    small = [(0, -66, 11), (-38, -48, 11), (38, -46, 10), (-66, -12, 10), (-24, -16, 10),
        (18, -18, 11), (60, -10, 10), (-4, 6, 8)]
    parts.spots(pen, large if spots == "large" else small, "white")


@kind("butterfly", "🦋", "blue purple ginger pink", group="animal")
def butterfly(pen: Pen) -> None:
    wings = pen.choose("wings", "spotted", "ringed")
    with pen.both_sides():
        pen.blob("wings", [(4, 4), (44, 4), (72, 34), (60, 80), (28, 82), (8, 40)], "accent")
        pen.blob("wings", [(4, 0), (26, -54), (66, -84), (94, -66), (86, -14), (48, 12)])
        pen.blob("wings", [(14, 14), (42, 18), (56, 40), (46, 64), (30, 60)], "main", line=False)
        if wings == "ringed":
            pen.ellipse("spots", (62, -40), 20, "light")
            pen.ellipse("spots", (62, -40), 10, "accent", line=False)
            pen.ellipse("spots", (42, 44), 9, "light", line=False)
        else:
            parts.spots(pen, [(72, -56, 12), (52, -34, 10), (76, -30, 8)], "white")
            parts.spots(pen, [(44, 40, 9), (40, 60, 6)], "yellow")
        pen.stroke("feelers", [(2, -44), (10, -72), (26, -86)], 5, "ink")
        pen.ellipse("feelers", (27, -87), 6, "ink", line=False)
    pen.ellipse("body", (0, 10), (9, 46), "tire")
    pen.ellipse("body", (0, -38), 13, "tire")
