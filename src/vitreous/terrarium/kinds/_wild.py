"""Lion, elephant, bear, snake and owl."""

# The points of an outline stay together.
# fmt: off
import numpy as np

from vitreous.terrarium import _parts as parts
from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("lion", "🦁", "ginger yellow brown", group="animal")
def lion(pen: Pen) -> None:
    mane = pen.choose("mane", "round", "pointed")
    pen.stroke("tail", [(34, 78), (70, 74), (84, 44)], 9, "main", line=True)
    pen.ellipse("tail", (85, 38), (12, 16), "accent", turn=15)
    pen.blob("body", [(0, 20), (38, 40), (44, 84), (0, 94), (-44, 84), (-38, 40)])
    pen.ellipse("body", (0, 74), (20, 18), "light", line=False)
    parts.feet(pen, 22, 88)
    if mane == "round":
        for angle in np.radians(np.arange(0, 360, 30)):
            pen.ellipse("mane", (56 * np.cos(angle), -22 + 54 * np.sin(angle)), 21, "accent")
        pen.ellipse("mane", (0, -22), 60, "accent", line=False)
    else:
        angle = np.radians(np.arange(0, 360, 15) + 7.5)
        radius = np.where(np.arange(24) % 2, 80, 60)
        points = np.stack([radius * np.cos(angle), -22 + radius * 0.92 * np.sin(angle)], 1)
        pen.outline("mane", points, "accent")
    parts.round_ears(pen, 37, -54, 14)
    pen.ellipse("head", (0, -20), (44, 42))
    parts.muzzle(pen, -1, 22, "ink")
    parts.eyes(pen, 18, -32, 8)
    parts.smile(pen, 0, 10, 11, 5)


@kind("elephant", "🐘", "gray blue pink", group="animal")
def elephant(pen: Pen) -> None:
    trunk = pen.choose("trunk", "down", "up")
    pen.blob("body", [(0, 0), (48, 30), (54, 86), (0, 92), (-54, 86), (-48, 30)])
    with pen.both_sides():
        pen.box("feet", (18, 66, 50, 96), radius=10)
        for x in (26, 35, 44):
            pen.ellipse("feet", (x, 93), (4, 3.5), "light", line=False)
        pen.blob("ears", [(30, -60), (66, -78), (94, -46), (84, -4), (52, 14), (34, -8)])
        pen.blob("ears", [(46, -50), (66, -62), (82, -42), (74, -12), (52, -2)], "pink", line=False)
    pen.blob("head", [(0, -72), (40, -54), (46, -16), (28, 14), (0, 20), (-28, 14), (-46, -16),
        (-40, -54)])
    with pen.both_sides():
        pen.blob("tusks", [(20, 8), (32, 4), (36, 34), (30, 40)], "white")
    to = ([(0, 36), (4, 66), (26, 72)] if trunk == "down" else [(2, 36), (26, 58), (54, 42),
        (56, 16)])
    pen.stroke("trunk", [(0, -18), (0, 8), *to], 34, "main", end=18, line=True)
    pen.ellipse("head", (0, -22), (20, 16), "main", line=False)
    for y in (14, 26, 38):
        pen.stroke("trunk", [(-9, y), (0, y + 3), (9, y)], 3, "dark")
    parts.eyes(pen, 24, -28, 8)


@kind("bear", "🐻", "brown white gray", group="animal")
def bear(pen: Pen) -> None:
    belly = pen.choose("belly", "light", "heart")
    parts.round_ears(pen, 44, -68, 21)
    pen.blob("body", [(0, 6), (50, 34), (58, 80), (0, 95), (-58, 80), (-50, 34)])
    pen.ellipse("belly", (0, 60), (32, 29), "light", line=False)
    if belly == "heart":
        with pen.both_sides():
            pen.ellipse("heart", (7, 54), 9, "red", line=False)
        pen.outline("heart", [(-15, 58), (0, 55), (15, 58), (0, 76)], "red", line=False)
    with pen.both_sides():
        pen.ellipse("arms", (53, 46), (14, 27), turn=-22)
        pen.ellipse("feet", (34, 84), (20, 16))
        pen.ellipse("feet", (35, 86), (10, 8), "pink", line=False)
    pen.blob("head", [(0, -82), (46, -66), (60, -28), (40, 10), (0, 20), (-40, 10), (-60, -28),
        (-46, -66)])
    pen.ellipse("snout", (0, -8), (28, 22), "light")
    pen.ellipse("nose", (0, -18), (13, 9), "ink", line=False)
    parts.smile(pen, 0, -3, 11, 6)
    parts.eyes(pen, 24, -36, 8)


@kind("snake", "🐍", "green yellow purple red", group="animal")
def snake(pen: Pen) -> None:
    back = pen.choose("back", "banded", "spotted")
    spine = [(82, 78), (40, 86), (-30, 84), (-72, 72), (-62, 44), (0, 36), (52, 24), (62, -8),
        (14, -24), (-22, -36), (-20, -64)]
    pen.stroke("tongue", [(12, -70), (46, -66), (58, -74)], 5, "red")
    pen.stroke("tongue", [(42, -66), (60, -58)], 5, "red")
    pen.stroke("body", spine, 15, "main", end=37, line=True)
    line = np.asarray(spine, float)
    for i in range(1, 9):
        x, y = line[i]
        along = line[i + 1] - line[i - 1]
        across = np.array([-along[1], along[0]]) / np.hypot(*along) * (8 + i * 1.1)
        if back == "banded":
            pen.stroke("stripes", [(x - across[0], y - across[1]), (x + across[0], y + across[1])],
                10, "accent")
        else:
            pen.ellipse("spots", (x, y), 7 + i * 0.3, "accent", line=False)
    pen.blob("head", [(-50, -66), (-30, -90), (0, -92), (26, -78), (24, -60), (-6, -46),
        (-38, -48)])
    parts.one_eye(pen, -8, -78, 11)
    pen.stroke("mouth", [(-4, -57), (10, -60), (24, -69)], 4, "ink")


@kind("owl", "🦉", "brown gray purple", group="animal")
def owl(pen: Pen) -> None:
    chest = pen.choose("chest", "scaled", "plain")
    pen.outline("ears", [(-58, -88), (-20, -70), (20, -70), (58, -88), (48, -30), (-48, -30)])
    pen.blob("body", [(0, -76), (46, -62), (62, -6), (50, 70), (0, 88), (-50, 70), (-62, -6),
        (-46, -62)])
    pen.ellipse("belly", (0, 36), (36, 44), "light", line=False)
    if chest == "scaled":
        for x, y in [(-15, 22), (15, 22), (0, 36), (-15, 50), (15, 50), (0, 64)]:
            pen.stroke("feathers", [(x - 8, y - 4), (x, y + 5), (x + 8, y - 4)], 5, "accent")
    with pen.both_sides():
        pen.blob("wings", [(50, -24), (68, 4), (66, 48), (46, 74), (40, 30)], "accent")
        for x in (12, 26):
            pen.ellipse("feet", (x, 86), (8, 10), "orange")
        pen.ellipse("eyes", (26, -36), 27, "cream")
        pen.ellipse("eyes", (26, -36), 16, "yellow", line=False)
        pen.ellipse("eyes", (24, -36), 10, "ink", line=False)
    for x in (-27, 21):
        pen.ellipse("eyes", (x, -40), 4, "white", line=False)
    pen.outline("beak", [(-10, -24), (10, -24), (0, 0)], "orange")
