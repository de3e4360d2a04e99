"""Pig, bird, chicken and bee."""

# The points of an outline stay together.
# fmt: off
from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("pig", "🐷", "pink white brown", group="animal")
def pig(pen: Pen) -> None:
    skin = pen.choose("skin", "plain", "spotted")
    pen.ellipse("tail", (74, 50), 13)
    pen.ellipse("tail", (74, 50), 5, "accent", line=False)
    pen.stroke("tail", [(74, 61), (84, 62), (94, 52)], 7, "main", end=5, line=True)
    pen.ellipse("body", (0, 56), (58, 38))
    with pen.both_sides():
        pen.box("feet", (20, 76, 44, 97), "main", radius=7)
        pen.box("feet", (20, 88, 44, 97), "accent", radius=4, line=False)
        pen.outline("ears", [(18, -52), (66, -80), (58, -26)])
        pen.outline("ears", [(34, -52), (58, -66), (54, -36)], "accent", line=False)
    pen.ellipse("head", (0, -10), (60, 52))
    if skin == "spotted":
        parts.spots(pen, [(-38, 62, 11), (-30, -42, 12), (44, 50, 8)], "accent")
    pen.ellipse("snout", (0, 8), (29, 21), "light")
    with pen.both_sides():
        pen.ellipse("snout", (11, 8), (6, 9), "accent", line=False)
        pen.ellipse("cheeks", (42, 10), (10, 7), "pink", line=False)
    parts.eyes(pen, 27, -26, 8)


@kind("bird", "🐦", "blue red yellow", group="animal")
def bird(pen: Pen) -> None:
    wing = pen.choose("wing", "folded", "raised")
    pen.outline("tail", [(-40, 22), (-92, 12), (-96, 36), (-80, 36), (-82, 54), (-38, 48)],
        "accent")
    for x in (-4, 20):
        pen.stroke("feet", [(x, 64), (x, 92), (x + 14, 94)], 6, "orange", line=True)
    pen.blob("body", [(24, -78), (58, -58), (62, -16), (48, 40), (6, 70), (-40, 56), (-52, 24),
        (-22, -8), (-10, -58)])
    pen.blob("belly", [(54, -8), (44, 40), (6, 64), (-16, 56), (14, 34), (30, -4)], "light",
        line=False)
    pen.outline("beak", [(56, -52), (94, -36), (56, -26)], "orange")
    pen.stroke("beak", [(60, -39), (82, -37)], 3, "ink")
    if wing == "folded":
        pen.blob("wing", [(16, -4), (22, 24), (-14, 42), (-62, 40), (-34, 10)], "accent")
        pen.stroke("wing", [(-2, 26), (-36, 34)], 5, "main")
        pen.stroke("wing", [(0, 14), (-24, 18)], 5, "main")
    else:
        pen.blob("wing", [(18, 14), (-14, 26), (-50, -22), (-72, -70), (-24, -54), (8, -20)],
            "accent")
        pen.stroke("wing", [(-8, 4), (-44, -44)], 5, "main")
        pen.stroke("wing", [(4, -6), (-24, -40)], 5, "main")
    parts.one_eye(pen, 32, -46, 12)


@kind("chicken", "🐔", "white brown ginger", group="animal")
def chicken(pen: Pen) -> None:
    tail = pen.choose("tail", "fan", "short")
    for x in (-12, 16):
        pen.stroke("feet", [(x, 60), (x, 90)], 6, "orange", line=True)
        pen.stroke("feet", [(x - 10, 94), (x, 88), (x + 14, 94)], 6, "orange", line=True)
    reach = 1.0 if tail == "fan" else 0.78
    for x, y in [(-88, -22), (-92, 4), (-84, 28)]:
        pen.stroke("tail", [(-40, 34), (x * reach, y)], 26, "accent", end=18, line=True)
    with_comb = [(18, -76), (32, -90), (46, -78)]
    for x, y in with_comb:
        pen.ellipse("comb", (x, y), 12, "red")
    pen.blob("body", [(30, -76), (54, -62), (58, -20), (56, 30), (22, 66), (-34, 62), (-62, 22),
        (-40, 2), (-4, -4), (8, -56)])
    pen.blob("wing", [(14, 6), (12, 38), (-26, 46), (-48, 24), (-20, 10)], "light")
    pen.outline("beak", [(52, -54), (84, -42), (52, -32)], "orange")
    pen.ellipse("wattle", (54, -22), (8, 12), "red")
    parts.one_eye(pen, 34, -50, 9)


@kind("bee", "🐝", "yellow ginger pink", group="animal")
def bee(pen: Pen) -> None:
    wings = pen.choose("wings", "spread", "back")
    lean = 0 if wings == "spread" else -18
    pen.outline("sting", [(-78, 14), (-98, 24), (-76, 34)], "ink")
    for x, turn in ((-26, -18 + lean), (14, 18 + lean)):
        pen.ellipse("wings", (x + lean * 0.4, -42), (24, 42), "glass", turn=turn)
    pen.ellipse("body", (-12, 24), (70, 46))
    for x, reach in ((-54, 34), (-24, 44), (8, 43)):
        pen.stroke("stripes", [(x, 24 - reach + 4), (x + 5, 24), (x, 24 + reach - 4)], 15, "ink")
    for x, y in ((52, -34), (76, -30)):
        pen.stroke("feelers", [(x - 4, 0), (x, y), (x + 12, y - 12)], 5, "ink")
        pen.ellipse("feelers", (x + 12, y - 14), 7, "ink", line=False)
    pen.ellipse("head", (56, 18), 34)
    parts.one_eye(pen, 64, 10, 12)
    pen.ellipse("cheeks", (50, 32), (8, 6), "pink", line=False)
    pen.stroke("mouth", [(62, 34), (70, 36), (78, 30)], 4, "ink")
