"""What a picture shows, in plain words and whole numbers."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from vitreous._errors import unknown
from vitreous.data import require_letters
from vitreous.terrarium._kinds import kind_named
from vitreous.terrarium._lettering import width
from vitreous.terrarium._palettes import PALETTES
from vitreous.terrarium._plain import read, read_all
from vitreous.terrarium._values import instance, put, truth, whole, wholes

WORLD = 1
"""Version of the world. Within one, every item of every task stays as it is."""

SETTINGS: dict[str, str] = {
    "meadow": "on grass",
    "water": "on water",
    "sky": "in the sky",
    "room": "indoors",
    "beach": "on sand",
    "snow": "on snow",
    "night": "at night",
    "paper": "on paper",
    "black": "on black",
}
"""Where a scene can be, and how a caption says so."""

LARGEST = 10_000
"""Of a size: ten times the picture."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Lengths are thousandths of the picture's side, x to the right and y down.

    Attributes:
        kind: Name of a kind.
        x: Column of the middle.
        y: Row of the middle.
        size: Side of the box that it is drawn in.
        palette: Name of its colors.
        shift: What is added to red, green and blue of these.
        style: Number of its drawing, modulo how many the kind has.
        rotation: Clockwise, in tenths of a degree.
        flip: Whether it looks the other way.
        squeeze: Its width in percent; the height grows as the width shrinks.
        stroke: Width of contour lines.
        depth: Larger is nearer; where equal, later objects are nearer.
        motion: (x, y) that it moves from one frame to the next.

    Raises:
        UnknownNameError: No kind or palette has that name.
        ValueError: A number can't be, or none of it would be within the picture.
    """

    kind: str
    x: int
    y: int
    size: int
    palette: str
    shift: tuple[int, int, int] = (0, 0, 0)
    style: int = 0
    rotation: int = 0
    flip: bool = False
    squeeze: int = 100
    stroke: int = 13
    depth: int = 0
    motion: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        kind_named(self.kind)
        _require_name("palette", self.palette, PALETTES, "`PALETTES` lists them all.")
        put(
            self,
            size=whole("size", self.size, 1, LARGEST, "Try 600."),
            shift=wholes("shift", self.shift, 3, -255, 255),
            style=whole("style", self.style),
            rotation=whole("rotation", self.rotation),
            flip=truth("flip", self.flip),
            squeeze=whole("squeeze", self.squeeze, 1, 199, "100 leaves it as it is."),
            stroke=whole("stroke", self.stroke, 0, LARGEST, "Try 13."),
            depth=whole("depth", self.depth),
            motion=wholes("motion", self.motion, 2, -LARGEST, LARGEST),
        )
        what = f"the {self.kind}"
        put(self, x=_inside("x", self.x, self.size, what), y=_inside("y", self.y, self.size, what))


@dataclass(frozen=True)
class Background:
    """What is behind the objects.

    Attributes:
        setting: Name of a setting.
        seed: Says where its clouds, waves and grains are.
        shift: What is added to red, green and blue of its colors.
        texture: Strength of its grain, in gray levels.

    Raises:
        UnknownNameError: No setting has that name.
        ValueError: A number can't be.
    """

    setting: str
    seed: int = 0
    shift: tuple[int, int, int] = (0, 0, 0)
    texture: int = 16

    def __post_init__(self) -> None:
        _require_name("setting", self.setting, SETTINGS, "`SETTINGS` lists them all.")
        put(
            self,
            seed=whole("seed", self.seed),
            shift=wholes("shift", self.shift, 3, -255, 255),
            texture=whole("texture", self.texture, 0, 255, "0 is for none."),
        )


@dataclass(frozen=True)
class Words:
    """Painted text.

    Attributes:
        text: Letters, digits, space and + ? only, at least one.
        x: Column of the middle.
        y: Row of the middle.
        height: Of the letters.
        label: Whether it stands on a paper label.

    Raises:
        ValueError: A letter has no strokes, a number can't be, or none of the text would be within
            the picture.
    """

    text: str
    x: int = 500
    y: int = 850
    height: int = 100
    label: bool = True

    def __post_init__(self) -> None:
        require_letters(self.text)
        height = whole("height", self.height, 1, 1000, "Try 100.")
        put(self, height=height, label=truth("label", self.label))
        what = f"'{self.text}'"
        x = _inside("x", self.x, width(self.text) * height, what)
        put(self, x=x, y=_inside("y", self.y, height, what))


@dataclass(frozen=True)
class Light:
    """Where the light comes from.

    Attributes:
        direction: In degrees, clockwise from the right.
        strength: By how many percent the darkest corner is darker than the brightest.
        shadow: How dark the shadow under an object is, in percent; 0 for none.

    Raises:
        ValueError: A number can't be.
    """

    direction: int = 225
    strength: int = 12
    shadow: int = 25

    def __post_init__(self) -> None:
        put(
            self,
            direction=whole("direction", self.direction),
            strength=whole("strength", self.strength, 0, 100, "0 is for even light."),
            shadow=whole("shadow", self.shadow, 0, 100, "0 is for none."),
        )


@dataclass(frozen=True)
class Scene:
    """A picture's causes: all that `render` needs, and nothing else.

    Attributes:
        objects: The main object first.
        background: What is behind them.
        words: Painted text, in front of everything.
        light: Where the light comes from.
        task: What it was sampled for; decides the label.
        frames: Pictures of a clip.
        gray: Whether it is painted without color.
        mirrored: Whether the finished picture is turned left to right.

    Raises:
        ValueError: Something is of another kind.
    """

    objects: tuple[Thing, ...]
    background: Background
    words: tuple[Words, ...] = ()
    light: Light = Light()
    task: str = "kinds"
    frames: int = 1
    gray: bool = False
    mirrored: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("objects", Thing), ("words", Words)):
            put(self, **{name: _several(name, getattr(self, name), kind)})
        instance("background", self.background, Background)
        instance("light", self.light, Light)
        instance("task", self.task, str)
        put(
            self,
            frames=whole("frames", self.frames, 1, 10_000, "1 is for a picture."),
            gray=truth("gray", self.gray),
            mirrored=truth("mirrored", self.mirrored),
        )

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.objects)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {"world": WORLD, **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scene":
        """Builds what `to_json` wrote.

        Raises:
            UnknownNameError: There is no such field, kind, palette or setting.
            ValueError: It is of another world, or not a scene that can be.
        """
        if not isinstance(values, dict):
            raise ValueError(
                f"A scene must be an object, a dictionary; got {type(values).__name__}. "
                "Read the text with `json.loads`."
            )
        values = dict(values)
        world = values.pop("world", None)
        if world != WORLD or isinstance(world, bool):
            raise ValueError(
                f"A scene must be of world {WORLD}; got {world!r}. "
                "Read it with the version of vitreous that wrote it."
            )
        parts: dict[str, Callable[[Any], Any]] = {
            "objects": lambda each: read_all("objects", Thing, each),
            "background": lambda each: read("background", Background, each),
            "words": lambda each: read_all("words", Words, each),
            "light": lambda each: read("light", Light, each),
        }
        built = {name: parts[name](value) for name, value in values.items() if name in parts}
        return read("scene", cls, values | built)


def _require_name(what: str, name: Any, known: Any, hint: str) -> None:
    if not isinstance(name, str) or name not in known:
        raise unknown(what, name, known, hint)


def _several(name: str, values: Any, kind: type[Part]) -> tuple[Part, ...]:
    if not isinstance(values, tuple | list):
        raise ValueError(f"`{name}` must be a tuple; got {values!r:.60}. Pass () for none.")
    for i, value in enumerate(values):
        instance(f"{name}[{i}]", value, kind)
    return tuple(values)


def _inside(name: str, value: Any, side: int, what: str) -> int:
    """The middle of something with such a side, some of which must be within the picture."""
    middle, reach = whole(name, value), side // 2
    if not -reach < middle < 1000 + reach:
        raise ValueError(
            f"`{name}` must leave some of {what} within the picture, so lie in "
            f"{1 - reach}..{999 + reach}; got {middle}. 500 is the middle."
        )
    return middle
