"""Cat, dog and rabbit."""

# The points of an outline stay together.
# fmt: off
from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("cat", "🐱", "ginger gray white", group="animal")
def cat(pen: Pen) -> None:
    coat = pen.choose("coat", "striped", "plain")
    tail = pen.choose("tail", "up", "curled")
    to = ([(66, 78), (84, 54), (78, 28), (90, 10)] if tail == "up" else [(64, 82), (90, 66),
        (80, 44), (66, 54)])
    pen.stroke("tail", [(30, 78), *to], 19, "main", end=14, line=True)
    pen.blob("body", [(0, 4), (40, 36), (46, 84), (0, 94), (-46, 84), (-40, 36)])
    pen.ellipse("body", (0, 64), (22, 28), "light", line=False)
    if coat == "striped":
        with pen.both_sides():
            parts.stripes(pen, [[(42, 46), (24, 50)], [(45, 64), (27, 66)]], 8)
    parts.feet(pen, 20, 88)
    parts.pointed_ears(pen, 42, -58, 27)
    pen.blob("head", [(0, -70), (46, -58), (64, -22), (44, 12), (0, 20), (-44, 12), (-64, -22),
        (-46, -58)])
    if coat == "striped":
        parts.stripes(pen, [[(0, -69), (0, -46)], [(-17, -67), (-14, -50)], [(17, -67), (14, -50)]],
            8)
        with pen.both_sides():
            parts.stripes(pen, [[(62, -30), (47, -27)], [(62, -16), (48, -16)]], 7)
    parts.muzzle(pen, 0, 17)
    parts.eyes(pen, 27, -24, 10)
    parts.whiskers(pen, -2, 30, 82)


@kind("dog", "🐶", "brown white ginger", group="animal")
def dog(pen: Pen) -> None:
    tongue = pen.choose("tongue", "out", "in")
    coat = pen.choose("coat", "patched", "plain")
    pen.stroke("tail", [(34, 76), (66, 62), (78, 34)], 18, "main", end=9, line=True)
    pen.blob("body", [(0, 10), (38, 36), (44, 84), (0, 94), (-44, 84), (-38, 36)])
    pen.ellipse("body", (0, 66), (20, 26), "light", line=False)
    parts.feet(pen, 21, 88)
    pen.stroke("collar", [(-36, 30), (0, 42), (36, 30)], 12, "red", line=True)
    pen.ellipse("collar", (0, 46), 8, "yellow")
    pen.blob("head", [(0, -82), (38, -70), (50, -30), (38, 16), (0, 32), (-38, 16), (-50, -30),
        (-38, -70)])
    if coat == "patched":
        pen.ellipse("spots", (22, -34), (19, 24), "accent", line=False)
    parts.floppy_ears(pen, 42, -64, 66)
    if tongue == "out":
        pen.blob("tongue", [(-11, 14), (11, 14), (11, 36), (0, 44), (-11, 36)], "pink")
    pen.ellipse("snout", (0, 2), (31, 23), "light")
    parts.smile(pen, 0, 8, 17, 7)
    pen.ellipse("nose", (0, -12), (15, 10), "ink", line=False)
    pen.ellipse("nose", (-4, -15), (4, 2.5), "white", line=False)
    parts.eyes(pen, 21, -37, 9)


@kind("rabbit", "🐰", "gray white brown pink", group="animal")
def rabbit(pen: Pen) -> None:
    ears = pen.choose("ears", "up", "bent")
    with pen.both_sides():
        if ears == "up":
            pen.ellipse("ears", (21, -64), (14, 36), turn=12)
            pen.ellipse("ears", (21, -62), (7, 26), "pink", turn=12, line=False)
    if ears == "bent":
        pen.ellipse("ears", (-21, -64), (14, 36), turn=-12)
        pen.ellipse("ears", (-21, -62), (7, 26), "pink", turn=-12, line=False)
        pen.stroke("ears", [(18, -36), (26, -74), (46, -84), (58, -58)], 25, line=True)
        pen.stroke("ears", [(20, -44), (27, -72), (44, -78)], 11, "pink")
    pen.ellipse("tail", (44, 76), 16, "white")
    pen.blob("body", [(0, 14), (38, 40), (46, 82), (0, 95), (-46, 82), (-38, 40)])
    pen.ellipse("body", (0, 68), (24, 24), "light", line=False)
    parts.feet(pen, 25, 89, "light")
    pen.blob("head", [(0, -46), (36, -34), (50, -2), (34, 28), (0, 36), (-34, 28), (-50, -2),
        (-36, -34)])
    with pen.both_sides():
        pen.ellipse("cheeks", (34, 12), (9, 6), "pink", line=False)
    pen.box("teeth", (-8, 20, 8, 36), "white", radius=3)
    parts.muzzle(pen, 14, 14)
    parts.eyes(pen, 21, -8, 9)
