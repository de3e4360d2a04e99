"""Settings: bands of color with a grain, and the little things that stand in them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._palettes import Color
from vitreous.terrarium._pen import Drawing, Pen
from vitreous.terrarium._scene import Background, Light

Decorate = Callable[[Pen, Chance], None]


@dataclass(frozen=True)
class Setting:
    """Stops (row in thousandths, color) from top to bottom, and what stands there."""

    stops: tuple[tuple[int, Color], ...]
    colors: dict[str, Color]
    decorate: Decorate


def _clouds(pen: Pen, chance: Chance, count: int, low: int, high: int) -> None:
    for i in range(count):
        x, y = chance.between(f"cloud x {i}", -90, 90), chance.between(f"cloud y {i}", low, high)
        for dx, dy, radius in ((-13, 2, 8), (-3, -4, 11), (9, 1, 9)):
            pen.ellipse("scenery", (x + dx, y + dy), radius, "cloud", line=False)


def _grass(pen: Pen, chance: Chance) -> None:
    _clouds(pen, chance, 2, -88, -62)
    for i in range(9):
        x, y = chance.between(f"x {i}", -96, 96), chance.between(f"y {i}", 0, 94)
        for lean in (-6, 0, 6):
            pen.outline(
                "scenery", [(x - 2, y), (x + 2, y), (x + lean, y - 13)], "blade", line=False
            )
        if i % 3 == 0:
            pen.ellipse("scenery", (x + 12, y - 4), 3.5, "blossom", line=False)


def _waves(pen: Pen, chance: Chance) -> None:
    _clouds(pen, chance, 1, -90, -76)
    for i in range(11):
        x, y = chance.between(f"x {i}", -100, 90), chance.between(f"y {i}", -40, 96)
        crest = [(x - 16, y), (x - 8, y - 5), (x, y), (x + 8, y - 5), (x + 16, y)]
        pen.stroke("scenery", crest, 3.5, "foam")


def _sky(pen: Pen, chance: Chance) -> None:
    _clouds(pen, chance, 6, -90, 90)


def _room(pen: Pen, chance: Chance) -> None:
    pen.box("scenery", (-101, 28, 101, 36), "board", radius=1, line=False)
    for y in (52, 72):
        pen.box("scenery", (-101, y, 101, y + 2), "joint", radius=0.5, line=False)
    x = chance.between("frame", -78, 40)
    pen.box("scenery", (x, -84, x + 44, -36), "board", radius=2, line=False)
    pen.box("scenery", (x + 4, -80, x + 40, -40), "pane", radius=1, line=False)


def _beach(pen: Pen, chance: Chance) -> None:
    _clouds(pen, chance, 1, -88, -70)
    for i in range(14):
        x, y = chance.between(f"x {i}", -98, 98), chance.between(f"y {i}", 0, 98)
        pen.ellipse("scenery", (x, y), (4, 2.5), "pebble", line=False)


def _snow(pen: Pen, chance: Chance) -> None:
    for i in range(16):
        x, y = chance.between(f"x {i}", -98, 98), chance.between(f"y {i}", -98, 98)
        pen.ellipse("scenery", (x, y), chance.between(f"r {i}", 2, 4), "flake", line=False)


def _night(pen: Pen, chance: Chance) -> None:
    for i in range(16):
        x, y = chance.between(f"x {i}", -98, 98), chance.between(f"y {i}", -98, 60)
        r = chance.between(f"r {i}", 3, 6)
        pen.outline(
            "scenery",
            [(x, y - r), (x + r / 3, y - r / 3), (x + r, y), (x + r / 3, y + r / 3),
             (x, y + r), (x - r / 3, y + r / 3), (x - r, y), (x - r / 3, y - r / 3)],
            "star",
            line=False,
        )  # fmt: skip
    x = chance.between("moon", -80, 80)
    pen.ellipse("scenery", (x, -74), 15, "star", line=False)


def _paper(pen: Pen, chance: Chance) -> None:
    shift = chance.between("grid", 0, 24)
    for line in range(-100 + shift, 100, 25):
        pen.box("scenery", (line, -101, line + 1.6, 101), "rule", radius=0.4, line=False)
        pen.box("scenery", (-101, line, 101, line + 1.6), "rule", radius=0.4, line=False)


def _nothing(pen: Pen, chance: Chance) -> None:
    pass


SCENERIES = 64
"""Different arrangements of clouds, waves and so on in each setting; the grain differs always."""

SKY_BLUE, PALE = (150, 208, 246), (224, 240, 250)
# fmt: off
PLACES: dict[str, Setting] = {
    "meadow": Setting(
        ((0, (168, 216, 248)), (440, PALE), (440, (166, 212, 122)), (1000, (112, 178, 88))),
        {"cloud": (250, 252, 255), "blade": (86, 150, 70), "blossom": (255, 240, 200)},
        _grass,
    ),
    "water": Setting(
        ((0, (190, 226, 248)), (260, PALE), (260, (116, 194, 222)), (1000, (52, 134, 190))),
        {"cloud": (250, 252, 255), "foam": (188, 230, 244)},
        _waves,
    ),
    "sky": Setting(
        ((0, (118, 186, 242)), (1000, (220, 238, 250))), {"cloud": (250, 252, 255)}, _sky
    ),
    "room": Setting(
        ((0, (236, 216, 190)), (650, (246, 230, 208)), (650, (206, 160, 118)),
         (1000, (184, 136, 96))),
        {"board": (150, 106, 78), "joint": (170, 122, 88), "pane": (190, 222, 236)},
        _room,
    ),
    "beach": Setting(
        ((0, SKY_BLUE), (280, PALE), (280, (96, 184, 206)), (430, (128, 206, 214)),
         (430, (246, 226, 176)), (1000, (230, 198, 140))),
        {"cloud": (250, 252, 255), "pebble": (206, 170, 118)},
        _beach,
    ),
    "snow": Setting(
        ((0, (176, 200, 228)), (460, (214, 226, 242)), (460, (244, 248, 252)),
         (1000, (216, 230, 244))),
        {"flake": (255, 255, 255)},
        _snow,
    ),
    "night": Setting(
        ((0, (30, 34, 80)), (1000, (92, 80, 140))), {"star": (250, 238, 178)}, _night
    ),
    "paper": Setting(
        ((0, (252, 246, 232)), (1000, (240, 230, 210))), {"rule": (206, 214, 222)}, _paper
    ),
    "black": Setting(((0, (0, 0, 0)), (1000, (0, 0, 0))), {}, _nothing),
}
# fmt: on


def scenery(background: Background) -> Drawing | None:
    """What stands in the setting, as a drawing over the whole picture; one of `SCENERIES`."""
    return _scenery(background.setting, background.seed % SCENERIES)


@cache
def _scenery(setting: str, number: int) -> Drawing | None:
    pen = Pen()
    PLACES[setting].decorate(pen, Chance("scenery", setting, number))
    return pen.finished() if pen.drawn else None


def backdrop(background: Background, size: int) -> np.ndarray:
    """The bands of color with their grain, int16 [rows, columns, 3]."""
    bands = _bands(background.setting, size)
    if not background.texture:
        return np.broadcast_to(bands, (size, size, 3)).copy()
    grain = _grain(Chance("grain", background.seed), size) * background.texture >> 8
    return bands + np.array(background.shift, np.int16) + grain[:, :, None]


def lighting(light: Light, size: int) -> np.ndarray | None:
    """How bright each pixel is lit, of 256, uint16 [rows, columns, 1]; None for evenly."""
    if not light.strength:
        return None
    x, y = _DIRECTIONS[light.direction % 360]
    reach = abs(x) + abs(y)
    steps = 2 * np.arange(size) - size + 1
    toward = steps[None, :] * x + steps[:, None] * y  # in -reach * size .. reach * size
    darker = (reach * size - toward) * (light.strength * 256 // 100) // (2 * reach * size)
    return (256 - darker).astype(np.uint16)[:, :, None]


_ANGLES = np.radians(np.arange(360))
_DIRECTIONS = np.rint(np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1) * 1024).astype(np.int64)


def _grain(chance: Chance, size: int) -> np.ndarray:
    """Smooth noise of two scales, in -256 .. 256."""
    fields = (chance.noise("coarse", 7, 7), chance.noise("fine", 30, 30))
    coarse, fine = (
        np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC))
        for field in fields
    )
    return coarse.astype(np.int16) + fine - 256


@lru_cache(maxsize=64)
def _bands(setting: str, size: int) -> np.ndarray:
    rows = np.arange(size) * 1000 // size
    at = [stop for stop, _ in PLACES[setting].stops]
    bands = np.zeros((size, 1, 3), np.int16)
    colors = [np.array(color) for _, color in PLACES[setting].stops]
    for i in range(len(at) - 1):
        inside = (rows >= at[i]) & (rows < at[i + 1])
        share = (rows[inside] - at[i])[:, None]
        width = max(at[i + 1] - at[i], 1)
        bands[inside, 0] = colors[i] + (colors[i + 1] - colors[i]) * share // width
    return bands
