"""`kinds`: which kind is the main object? Others, smaller, stand around."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._placing import away_from, daylight, look, near_middle, others, surroundings
from vitreous.terrarium._scene import Scene, Thing
from vitreous.terrarium._tasks import SPLITS, WORLD_KINDS, Item, task

# The last two are harder: without color, and with larger things in the way.
_SPLITS = {**SPLITS, "gray": 10_000, "cluttered": 10_000}


def main_label(scene: Scene) -> int:
    """The kind of the main object."""
    return WORLD_KINDS.index(scene.objects[0].kind)


@task("kinds", classes=lambda: WORLD_KINDS, label=main_label, splits=_SPLITS)
def make(item: Item) -> Scene:
    chance = item.chance
    main = main_object(
        chance, WORLD_KINDS[item.turn("kind", len(WORLD_KINDS))], *_sizes(item.split)
    )
    return Scene(
        objects=(main, *_distractors(chance, main, item.split == "cluttered")),
        background=surroundings(chance),
        light=daylight(chance),
        task="kinds",
        gray=item.split == "gray",
    )


def main_object(chance: Chance, kind: str, smallest: int = 600, largest: int = 860) -> Thing:
    """Something large, near the middle."""
    size = chance.between("size", smallest, largest)
    return look(chance, kind, at=near_middle(chance, size), size=size)


def _sizes(split: str) -> tuple[int, int]:
    return (520, 640) if split == "cluttered" else (600, 860)


def _distractors(chance: Chance, main: Thing, cluttered: bool) -> list[Thing]:
    count = (
        chance.between("distractors", 4, 6) if cluttered else chance.between("distractors", 0, 3)
    )
    taken, things = [(main.x, main.y, main.size)], []
    for i, kind in enumerate(others(chance, "distractor", WORLD_KINDS, main.kind, count)):
        own = chance.part(f"distractor {i}")
        size = own.between("size", 260, 400) if cluttered else own.between("size", 190, 320)
        x, y = away_from(own, taken, size)
        taken.append((x, y, size))
        in_front = own.below("in front", 3) == 0
        things.append(look(own, kind, at=(x, y), size=size, depth=1 if in_front else -1))
    return things
