"""Toilet, cup, key, umbrella and clock."""

# The points of an outline stay together.
# fmt: off
import numpy as np

from vitreous.terrarium._kinds import kind
from vitreous.terrarium._pen import Pen


@kind("toilet", "🚽", "white pink blue")
def toilet(pen: Pen) -> None:
    lid = pen.choose("lid", "open", "without")
    pen.box("tank", (-52, -94, 52, -36), "main", radius=8)
    pen.box("tank", (-58, -97, 58, -82), "light", radius=6)
    pen.box("handle", (26, -74, 44, -66), "steel", radius=4)
    if lid == "open":
        pen.blob("lid", [(-46, 4), (-48, -40), (-26, -66), (26, -66), (48, -40), (46, 4)], "light")
        pen.blob("lid", [(-34, 2), (-35, -34), (-19, -54), (19, -54), (35, -34), (34, 2)], "main",
            line=False)
    pen.blob("bowl", [(-56, 18), (56, 18), (48, 50), (24, 72), (-24, 72), (-48, 50)])
    pen.outline("base", [(-24, 62), (24, 62), (38, 97), (-38, 97)])
    pen.ellipse("seat", (0, 16), (62, 26), "light")
    pen.ellipse("seat", (0, 15), (43, 16), "accent")
    pen.ellipse("water", (0, 19), (32, 10), "water", line=False)
    pen.ellipse("water", (-10, 17), (9, 3), "glass", line=False)


@kind("cup", "☕", "red blue white green")
def cup(pen: Pen) -> None:
    pattern = pen.choose("pattern", "plain", "striped", "dotted")
    for x in (-36, -8, 20):
        pen.stroke("steam", [(x, -46), (x + 9, -62), (x - 5, -78), (x + 5, -95)], 8, "white", end=5,
            line=True)
    pen.stroke("handle", [(44, -14), (84, -18), (88, 26), (44, 42)], 17, "main", line=True)
    pen.blob("body", [(-70, -32), (54, -32), (52, 30), (40, 70), (-8, 78), (-56, 70), (-68, 30)])
    if pattern == "striped":
        pen.stroke("stripes", [(-66, 14), (-8, 26), (50, 14)], 9, "accent")
        pen.stroke("stripes", [(-63, 36), (-8, 48), (47, 36)], 9, "accent")
    if pattern == "dotted":
        for x, y in [(-44, 8), (-8, 16), (28, 8), (-28, 42), (12, 42)]:
            pen.ellipse("spots", (x, y), 9, "accent", line=False)
    pen.ellipse("rim", (-8, -32), (63, 18), "light")
    pen.ellipse("coffee", (-8, -30), (51, 12), "wood", line=False)
    pen.ellipse("saucer", (-8, 84), (74, 12), "light")


@kind("key", "🔑", "yellow gray ginger")
def key(pen: Pen) -> None:
    bow = pen.choose("bow", "round", "clover")
    teeth = pen.choose("teeth", "two", "three")
    pen.box("shaft", (-20, -11, 92, 11), radius=5)
    for x in (46, 72) if teeth == "two" else (36, 56, 76):
        pen.box("teeth", (x, 6, x + 13, 38), radius=3)
        pen.box("shaft", (x + 1, -8, x + 12, 12), radius=2, line=False)
    if bow == "round":
        pen.ellipse("bow", (-52, 0), 44)
        pen.ellipse("bow", (-58, -8), (26, 16), "light", turn=-40, line=False)
    else:
        centers = [(-76, 0), (-44, -24), (-44, 24)]
        for x, y in centers:
            pen.ellipse("bow", (x, y), 24)
        pen.ellipse("bow", (-54, 0), 28, line=False)
    pen.ellipse("hole", (-56, 0), 17, "ink", line=False)
    pen.box("shaft", (-2, -6, 88, -1), "light", radius=2, line=False)


@kind("umbrella", "☂️", "red purple blue pink")
def umbrella(pen: Pen) -> None:
    panels = pen.choose("panels", "plain", "striped")
    pen.stroke("handle", [(0, -20), (0, 72), (8, 90), (26, 90), (32, 74)], 10, "wood", line=True)
    pen.stroke("tip", [(0, -70), (0, -92)], 8, "wood", line=True)
    dome = np.radians(np.linspace(180, 360, 25))
    arch = np.stack([92 * np.cos(dome), 8 + 84 * np.sin(dome)], 1)
    edge = [(x, y) for x, y in zip([69, 46, 23, 0, -23, -46, -69], [-8, 8, -8, 8, -8, 8, -8],
        strict=True)]
    pen.outline("canopy", [*arch, *edge])
    tone = "light" if panels == "striped" else "dark"
    with pen.both_sides():
        outer = [(2, -76), (24, -68), (40, -40), (46, 8), (69, -8), (91, 8), (80, -36), (48, -66)]
        pen.outline("panels", outer[:1] + outer[3:], tone, line=False)
    if panels == "striped":
        pen.outline("panels", [(0, -76), (14, -40), (0, 8), (-14, -40)], tone, line=False)
    with pen.both_sides():
        pen.stroke("ribs", [(0, -74), (30, -46), (46, 6)], 4, "~main")


@kind("clock", "⏰", "red blue green yellow")
def clock(pen: Pen) -> None:
    hands = pen.choose("hands", "ten past ten", "four", "half past six")
    to = {"ten past ten": (-24, -18, 30, -22), "four": (22, 16, 0, -38), "half past six": (8, 26, 0,
        38)}
    hour_x, hour_y, minute_x, minute_y = to[hands]
    with pen.both_sides():
        pen.stroke("feet", [(38, 66), (54, 92)], 15, "dark", line=True)
        pen.ellipse("bells", (46, -66), (27, 21), turn=38)
    pen.stroke("hammer", [(0, -60), (0, -88)], 10, "steel", line=True)
    pen.ellipse("case", (0, 10), 72)
    pen.ellipse("face", (0, 10), 55, "white")
    for angle in np.radians(np.arange(0, 360, 30)):
        pen.ellipse("marks", (47 * np.cos(angle), 10 + 47 * np.sin(angle)), 3.5, "ink", line=False)
    pen.stroke("hands", [(0, 10), (hour_x, 10 + hour_y)], 9, "ink")
    pen.stroke("hands", [(0, 10), (minute_x, 10 + minute_y)], 6, "ink")
    pen.ellipse("hands", (0, 10), 6, "red", line=False)
