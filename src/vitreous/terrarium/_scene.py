"""What a picture shows, in plain words and whole numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from vitreous._errors import unknown
from vitreous.terrarium._kinds import kind_named
from vitreous.terrarium._palettes import PALETTES

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
        if self.palette not in PALETTES:
            raise unknown("palette", self.palette, PALETTES, "`PALETTES` lists them all.")
        if self.size < 1:
            raise ValueError(f"`size` must be at least 1; got {self.size}. Try 600.")
        reach = self.size // 2
        for name, middle in (("x", self.x), ("y", self.y)):
            if not -reach < middle < 1000 + reach:
                raise ValueError(
                    f"`{name}` must leave some of the {self.kind} within the picture, so lie in "
                    f"{1 - reach}..{999 + reach}; got {middle}. 500 is the middle."
                )


@dataclass(frozen=True)
class Background:
    """What is behind the objects.

    Attributes:
        setting: Name of a setting.
        seed: Says where its clouds, waves and grains are.
        shift: What is added to red, green and blue of its colors.
        texture: Strength of its grain, in gray levels.
    """

    setting: str
    seed: int = 0
    shift: tuple[int, int, int] = (0, 0, 0)
    texture: int = 16

    def __post_init__(self) -> None:
        if self.setting not in SETTINGS:
            raise unknown("setting", self.setting, SETTINGS, "`SETTINGS` lists them all.")


@dataclass(frozen=True)
class Words:
    """Painted text.

    Attributes:
        text: Letters, digits, space and + ? only.
        x: Column of the middle.
        y: Row of the middle.
        height: Of the letters.
        label: Whether it stands on a paper label.
    """

    text: str
    x: int = 500
    y: int = 850
    height: int = 100
    label: bool = True


@dataclass(frozen=True)
class Light:
    """Where the light comes from.

    Attributes:
        direction: In degrees, clockwise from the right.
        strength: By how many percent the darkest corner is darker than the brightest.
        shadow: How dark the shadow under an object is, in percent; 0 for none.
    """

    direction: int = 225
    strength: int = 12
    shadow: int = 25


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
    """

    objects: tuple[Thing, ...]
    background: Background
    words: tuple[Words, ...] = ()
    light: Light = Light()
    task: str = "kinds"
    frames: int = 1
    gray: bool = False
    mirrored: bool = False

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.objects)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {"world": WORLD, **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scene":
        """Builds what `to_json` wrote.

        Raises:
            ValueError: It is of another world or not a scene.
        """
        values = dict(values)
        world = values.pop("world", None)
        if world != WORLD:
            raise ValueError(
                f"A scene must be of world {WORLD}; got {world!r}. "
                "Read it with the version of vitreous that wrote it."
            )
        parts = {
            "objects": tuple(_read(Thing, part) for part in values.pop("objects", ())),
            "background": _read(Background, values.pop("background", None)),
            "words": tuple(_read(Words, part) for part in values.pop("words", ())),
            "light": _read(Light, values.pop("light", {})),
        }
        return _read(cls, parts | values)


def _read(kind: type[Part], values: Any) -> Part:
    known = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if not isinstance(values, dict) or not set(values) <= known:
        raise ValueError(
            f"A {kind.__name__} must be an object with {', '.join(sorted(known))}; "
            f"got {str(values)[:80]}. `Scene.to_json` shows the form."
        )
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as error:
        raise ValueError(
            f"A {kind.__name__} must be complete; got '{error}'. `Scene.to_json` shows the form."
        ) from error
