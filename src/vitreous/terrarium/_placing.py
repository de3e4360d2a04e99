"""What the tasks share: random looks, random surroundings, and places that don't collide."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._kinds import kind_named
from vitreous.terrarium._scene import SETTINGS, Background, Light, Thing

OUTDOORS = tuple(name for name in SETTINGS if name != "black")


def look(
    chance: Chance,
    kind: str,
    *,
    at: tuple[int, int],
    size: int,
    depth: int = 0,
    motion: tuple[int, int] = (0, 0),
) -> Thing:
    """Something of a kind, in one of its typical colors and in a pose of its own."""
    of = kind_named(kind)
    return Thing(
        kind=kind,
        x=at[0],
        y=at[1],
        size=size,
        palette=chance.choice("palette", of.palettes),
        shift=_shift(chance, 16),
        style=chance.below("style", of.n_styles),
        rotation=chance.between("rotation", -160, 160),
        flip=chance.below("flip", 2) == 1,
        squeeze=chance.between("squeeze", 93, 107),
        stroke=chance.between("stroke", 10, 15),
        depth=depth,
        motion=motion,
    )


def surroundings(chance: Chance, setting: str | None = None) -> Background:
    """A setting, by chance or given, with a grain and a hue of its own."""
    return Background(
        setting=setting or chance.choice("setting", OUTDOORS),
        seed=chance.below("seed", 1 << 31),
        shift=_shift(chance, 12),
        texture=chance.between("texture", 4, 20),
    )


def daylight(chance: Chance) -> Light:
    """Light from anywhere."""
    return Light(
        direction=chance.below("direction", 360),
        strength=chance.between("strength", 0, 24),
        shadow=chance.between("shadow", 14, 36),
    )


def others(chance: Chance, name: str, kinds: tuple[str, ...], than: str, count: int) -> list[str]:
    """Different kinds, none of them `than`."""
    left = [kind for kind in kinds if kind != than]
    chosen = []
    for i in range(count):
        chosen.append(left.pop(chance.below(f"{name} {i}", len(left))))
    return chosen


def near_middle(chance: Chance, size: int) -> tuple[int, int]:
    """A place for something large, at most a little of it outside of the picture."""
    reach = max(0, 540 - size // 2)
    return 500 + chance.between("x", -reach, reach), 500 + chance.between("y", -reach, reach)


def away_from(
    chance: Chance, taken: list[tuple[int, int, int]], size: int, tries: int = 6
) -> tuple[int, int]:
    """Of some random places within the picture, the one that hides least of what is there.

    Args:
        chance: Where the random places come from.
        taken: (x, y, size) of what is there.
        size: Of what is to be placed.
        tries: How many places to look at.
    """
    best, most_room = (500, 500), -(10**9)
    half = size // 2
    for i in range(tries):
        x = chance.between(f"x {i}", half - 40, 1040 - half)
        y = chance.between(f"y {i}", half - 40, 1040 - half)
        room = min(max(abs(x - tx), abs(y - ty)) - (size + ts) // 2 for tx, ty, ts in taken)
        if room > most_room:
            best, most_room = (x, y), room
    return best


def _shift(chance: Chance, reach: int) -> tuple[int, int, int]:
    red, green, blue = (
        chance.between(f"{c} shift", -reach, reach) for c in ("red", "green", "blue")
    )
    return red, green, blue
