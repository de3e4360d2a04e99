"""Fish, frog, turtle, penguin, snail and boat."""

# The points of an outline stay together.
# fmt: off
import numpy as np

from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("fish", "🐟", "ginger blue yellow red", group="animal")
def fish(pen: Pen) -> None:
    scales = pen.choose("scales", "striped", "scaled")
    pen.outline("tail fin", [(-42, 0), (-94, -52), (-84, 0), (-94, 52)], "accent")
    pen.outline("fins", [(-24, -36), (-6, -74), (40, -38)], "accent")
    pen.outline("fins", [(-10, 38), (-16, 68), (24, 40)], "accent")
    pen.blob("body", [(88, 4), (62, -36), (10, -50), (-34, -28), (-58, 0), (-34, 28), (10, 50),
        (62, 40)])
    if scales == "striped":
        for x, reach in ((26, 44), (-2, 42), (-28, 26)):
            pen.stroke("stripes", [(x, -reach), (x + 9, 0), (x, reach)], 11, "light")
    else:
        for x, y in [(20, -22), (20, 2), (20, 26), (-4, -12), (-4, 14), (-28, 0)]:
            pen.stroke("scales", [(x + 5, y - 11), (x - 6, y), (x + 5, y + 11)], 5, "accent")
    pen.blob("fins", [(20, 10), (-10, 8), (-16, 30), (10, 28)], "accent")
    parts.one_eye(pen, 54, -14, 14)
    pen.stroke("mouth", [(86, 12), (74, 20), (66, 18)], 5, "ink")


@kind("frog", "🐸", "green yellow blue", group="animal")
def frog(pen: Pen) -> None:
    skin = pen.choose("skin", "plain", "spotted")
    with pen.both_sides():
        pen.ellipse("legs", (58, 56), (32, 38), turn=16)
        pen.ellipse("feet", (64, 88), (28, 10), "dark")
    pen.blob("body", [(0, -4), (50, 20), (54, 74), (0, 92), (-54, 74), (-50, 20)])
    pen.ellipse("belly", (0, 60), (34, 30), "light", line=False)
    with pen.both_sides():
        pen.stroke("legs", [(30, 52), (32, 84)], 17, "main", line=True)
        pen.ellipse("feet", (33, 90), (17, 8), "dark")
        pen.ellipse("eyes", (37, -58), 27)
    pen.blob("head", [(0, -56), (52, -48), (76, -14), (48, 18), (0, 26), (-48, 18), (-76, -14),
        (-52, -48)])
    if skin == "spotted":
        parts.spots(pen, [(-58, 50, 8), (56, 58, 7), (0, -44, 8), (-22, -38, 5)], "accent")
    with pen.both_sides():
        pen.ellipse("eyes", (37, -60), 18, "white")
        pen.ellipse("eyes", (35, -58), 10, "ink", line=False)
        pen.ellipse("cheeks", (54, 0), (10, 7), "pink", line=False)
        pen.ellipse("nose", (7, -22), (3, 2.5), "ink", line=False)
    for x in (-39, 31):
        pen.ellipse("eyes", (x, -63), 4, "white", line=False)
    pen.stroke("mouth", [(-46, -8), (-20, 8), (0, 11), (20, 8), (46, -8)], 5, "ink")


@kind("turtle", "🐢", "green brown purple", group="animal")
def turtle(pen: Pen) -> None:
    shell = pen.choose("shell", "plates", "rings")
    pen.outline("tail", [(-66, 44), (-98, 58), (-62, 60)], "light")
    for x in (-44, 30):
        pen.box("feet", (x - 15, 40, x + 15, 80), "light", radius=11)
    pen.stroke("neck", [(44, 46), (66, 26), (68, 2)], 30, "light", line=True)
    pen.ellipse("head", (70, -8), (27, 24), "light")
    pen.blob("shell", [(-76, 52), (-68, 2), (-30, -40), (10, -42), (46, -8), (58, 52)], "main")
    if shell == "plates":
        pen.outline("plates", [(-26, -22), (4, -24), (20, 4), (4, 28), (-26, 28), (-42, 4)],
            "accent")
        pen.outline("plates", [(-72, 22), (-52, 10), (-38, 36), (-46, 50), (-74, 50)], "accent")
        pen.outline("plates", [(30, 8), (48, 12), (56, 48), (26, 50), (16, 34)], "accent")
    else:
        for scale in (0.76, 0.4):
            points = [(-9 + x * scale, 16 + y * scale) for x, y in [(-62, 30), (-50, -20),
                (-16, -48), (16, -46), (46, -14), (58, 30)]]
            pen.blob("plates", points, "accent" if scale > 0.5 else "main")
    pen.stroke("rim", [(-80, 52), (0, 60), (62, 52)], 14, "dark", line=True)
    parts.one_eye(pen, 76, -14, 9)
    pen.stroke("mouth", [(78, 4), (88, 2), (94, -6)], 4, "ink")


@kind("penguin", "🐧", "gray blue purple", group="animal")
def penguin(pen: Pen) -> None:
    scarf = pen.choose("scarf", "none", "red")
    with pen.both_sides():
        pen.ellipse("feet", (24, 90), (24, 10), "orange")
        pen.blob("wings", [(40, -22), (62, 0), (78, 44), (64, 48), (42, 22)], "dark")
    pen.blob("body", [(0, -94), (40, -78), (50, -34), (60, 30), (42, 82), (0, 90), (-42, 82),
        (-60, 30), (-50, -34), (-40, -78)], "dark")
    pen.blob("belly", [(0, -8), (34, 0), (42, 40), (28, 76), (0, 82), (-28, 76), (-42, 40),
        (-34, 0)], "white", line=False)
    with pen.both_sides():
        pen.ellipse("face", (18, -46), (24, 27), "white", line=False)
    pen.ellipse("face", (0, -30), (24, 18), "white", line=False)
    if scarf == "red":
        pen.stroke("scarf", [(-48, -10), (0, 2), (48, -10)], 17, "red", line=True)
        pen.box("scarf", (18, -6, 38, 36), "red")
    parts.eyes(pen, 19, -50, 8)
    pen.outline("beak", [(-15, -38), (0, -44), (15, -38), (0, -16)], "orange")


@kind("snail", "🐌", "brown ginger pink purple", group="animal")
def snail(pen: Pen) -> None:
    shell = pen.choose("shell", "spiral", "banded")
    for x, y in ((58, -52), (88, -42)):
        pen.stroke("feelers", [(68, 24), (x + 2, y)], 8, "cream", line=True)
        pen.ellipse("feelers", (x + 2, y - 4), 10, "cream")
        pen.ellipse("eyes", (x + 4, y - 4), 5.5, "ink", line=False)
    pen.blob("body", [(-96, 78), (-60, 60), (0, 56), (40, 50), (48, 12), (72, -4), (94, 14),
        (90, 48), (70, 78), (30, 86), (-60, 86)], "cream")
    pen.ellipse("shell", (-18, 10), (60, 58))
    angle = np.radians(np.arange(0, 760, 40))
    radius = np.linspace(56, 4, len(angle))
    spiral = np.stack([-18 + radius * np.cos(angle + 0.9), 10 + radius * 0.96 * np.sin(angle +
        0.9)], 1)
    pen.stroke("spiral", spiral[3:], 11, "accent", end=6)
    if shell == "banded":
        parts.spots(pen, [(-60, -8, 7), (-40, -32, 7), (-10, -36, 7), (16, -22, 7)], "light")
    pen.stroke("mouth", [(72, 32), (80, 36), (89, 30)], 4, "ink")
    pen.ellipse("cheeks", (66, 24), (7, 5), "pink", line=False)


@kind("boat", "⛵", "red blue green white")
def boat(pen: Pen) -> None:
    flag = pen.choose("flag", "left", "right")
    to = -1 if flag == "left" else 1
    pen.outline("flag", [(0, -98), (to * 30, -88), (0, -78)], "accent")
    pen.box("mast", (-5, -92, 5, 52), "wood", radius=2)
    pen.outline("sail", [(10, -76), (10, 34), (78, 34)], "white")
    pen.outline("sail", [(-10, -58), (-10, 34), (-62, 34)], "light")
    pen.outline("hull", [(-86, 44), (88, 44), (62, 88), (-56, 88)])
    pen.outline("hull", [(-80, 54), (82, 54), (76, 64), (-73, 64)], "white", line=False)
    for x in (-34, 2, 38):
        pen.ellipse("windows", (x, 74), 6, "glass")
