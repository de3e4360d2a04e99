"""Paints a scene on a canvas: back to front, every ink with a color and an owner."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from vitreous.terrarium._backgrounds import PLACES, scenery
from vitreous.terrarium._canvas import SAMPLES, Canvas, paint_drawing, placed
from vitreous.terrarium._kinds import kind_named
from vitreous.terrarium._lettering import lettering
from vitreous.terrarium._palettes import TONES, Color, shifted, tones
from vitreous.terrarium._pen import Drawing, Pen
from vitreous.terrarium._scene import Background, Scene, Thing, Words

BACKDROP, SHADOW, WORDS = -1, -2, -3
"""Owners that are no object."""


@dataclass
class Painting:
    """A canvas with the ledger of its inks.

    Attributes:
        canvas: Who owns which sample.
        colors: (red, green, blue, opacity) of each ink; what isn't opaque lets the backdrop
            through.
        owners: (object or other owner, part of it) of each ink.
    """

    canvas: Canvas
    colors: list[tuple[int, int, int, int]] = field(default_factory=lambda: [(0, 0, 0, 0)])
    owners: list[tuple[int, int]] = field(default_factory=lambda: [(BACKDROP, 0)])

    def add(self, colors: list[tuple[int, int, int, int]], owners: list[tuple[int, int]]) -> int:
        """Enters inks in the ledger; gives the number of the first."""
        first = len(self.colors)
        self.colors += colors
        self.owners += owners
        return first


def paint(scene: Scene, size: int, only: int | None = None) -> Painting:
    """Paints the scene, or of all its objects only one, without shadows and words."""
    things = [(i, thing) for i, thing in enumerate(scene.objects) if only in (None, i)]
    things.sort(key=lambda numbered: numbered[1].depth)
    painting = Painting(Canvas(size, _count_inks(scene)))
    _paint_scenery(painting, scene.background, size)
    if only is None and scene.light.shadow:
        _paint_shadows(painting, scene, size)
    for number, thing in things:
        _paint_thing(painting, number, thing, size)
    for words in scene.words if only is None else ():
        _paint_words(painting, words, size)
    return painting


def moved(scene: Scene, frame: int) -> Scene:
    """The scene at a later frame."""
    things = tuple(
        replace(t, x=t.x + frame * t.motion[0], y=t.y + frame * t.motion[1])
        if t.motion != (0, 0)
        else t
        for t in scene.objects
    )
    return replace(scene, objects=things)


def part_names(scene: Scene) -> list[tuple[int, str]]:
    """(object, part) of all parts, object by object."""
    return [
        (number, part)
        for number, thing in enumerate(scene.objects)
        for part in kind_named(thing.kind).drawing(thing.style).parts
    ]


def _count_inks(scene: Scene) -> int:
    drawings = [kind_named(thing.kind).drawing(thing.style) for thing in scene.objects]
    letters = [lettering(words.text, label=words.label) for words in scene.words]
    return 16 + sum(len(drawing.inks) for drawing in drawings + letters)


def _paint_scenery(painting: Painting, background: Background, size: int) -> None:
    drawing = scenery(background)
    if drawing is None:
        return
    colors = PLACES[background.setting].colors
    inks = [(*shifted(colors[tone], background.shift), 255) for _, tone in drawing.inks]
    first = painting.add(inks, [(BACKDROP, 0)] * len(inks))
    outlines = _whole_picture(background.setting, background.seed % 64, size)
    paint_drawing(painting.canvas, drawing, outlines, outlines, first)


@lru_cache(maxsize=1024)
def _whole_picture(setting: str, number: int, size: int) -> np.ndarray:
    drawing = scenery(Background(setting, number))
    assert drawing is not None
    return _put(drawing, size, at=(500, 500), extent=1000)[0]


def _put(
    drawing: Drawing,
    size: int,
    *,
    at: tuple[int, int],
    extent: int,
    squeeze: int = 100,
    rotation: int = 0,
    flip: bool = False,
    stroke: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    return placed(
        drawing.points,
        drawing.normals,
        at=at,
        extent=extent,
        squeeze=squeeze,
        rotation=rotation,
        flip=flip,
        stroke=stroke,
        size=size,
    )


def _paint_shadows(painting: Painting, scene: Scene, size: int) -> None:
    first = painting.add([(0, 0, 0, scene.light.shadow * 255 // 100)], [(SHADOW, 0)])
    drawing = _shadow()
    for thing in scene.objects:
        if thing.size >= 5:
            outlines, _ = _put(drawing, size, at=(thing.x, thing.y), extent=thing.size)
            paint_drawing(painting.canvas, drawing, outlines, outlines, first)


@lru_cache(maxsize=1)
def _shadow() -> Drawing:
    pen = Pen()
    pen.ellipse("shadow", (0, 90), (78, 13), line=False)
    return pen.finished()


def _paint_thing(painting: Painting, number: int, thing: Thing, size: int) -> None:
    drawing = kind_named(thing.kind).drawing(thing.style)
    colors = _tones(thing.palette, thing.shift)
    inks = [(*colors[tone], 255) for _, tone in drawing.inks]
    first = painting.add(inks, [(number, part) for part, _ in drawing.inks])
    fills, lines = _put(
        drawing,
        size,
        at=(thing.x, thing.y),
        extent=thing.size,
        squeeze=thing.squeeze,
        rotation=thing.rotation,
        flip=thing.flip,
        stroke=thing.stroke,
    )
    paint_drawing(painting.canvas, drawing, fills, lines, first)


@lru_cache(maxsize=4096)
def _tones(palette: str, shift: tuple[int, int, int]) -> dict[str, Color]:
    return tones(palette, shift)


def _paint_words(painting: Painting, words: Words, size: int) -> None:
    drawing = lettering(words.text, label=words.label)
    colors = _tones("white", (0, 0, 0)) | TONES
    inks = [(*colors[tone], 255) for _, tone in drawing.inks]
    first = painting.add(inks, [(WORDS, 0)] * len(inks))
    # The letters are 20 high in a box of 200.
    fills, lines = _put(drawing, size, at=(words.x, words.y), extent=words.height * 10, stroke=8)
    paint_drawing(painting.canvas, drawing, fills, lines, first)


def samples(painting: Painting) -> np.ndarray:
    """Ink of every sample, [rows, columns, samples of a pixel]."""
    size = painting.canvas.size
    inks = np.asarray(painting.canvas.image).reshape(size, SAMPLES, size, SAMPLES)
    return inks.transpose(0, 2, 1, 3).reshape(size, size, SAMPLES**2)
