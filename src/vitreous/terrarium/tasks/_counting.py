"""`counting`: how many are there? Scattered, or as a sum: two apples + two apples."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._placing import daylight, look, surroundings
from vitreous.terrarium._scene import Scene, Thing, Words
from vitreous.terrarium._tasks import WORLD_KINDS, Item, task

LARGEST = 6
_SIZE = 290
_CELLS = tuple((x, y) for y in (180, 500, 820) for x in (180, 500, 820))
# Middles of one, two and three in the left half of a sum; the right half is 640 further.
_HALVES = {
    1: ((180, 500),),
    2: ((180, 320), (180, 680)),
    3: ((180, 180), (180, 500), (180, 820)),
}


def how_many(scene: Scene) -> int:
    """One less than the number of objects."""
    return len(scene.objects) - 1


@task("counting", classes=lambda: tuple("one two three four five six".split()), label=how_many)
def make(item: Item) -> Scene:
    chance = item.chance
    count = 1 + item.turn("count", LARGEST)
    as_sum = count > 1 and chance.below("as a sum", 2) == 1
    places = _sum_places(chance, count) if as_sum else _scattered(chance, count)
    kind = chance.choice("kind", WORLD_KINDS)
    return Scene(
        objects=tuple(_alike(chance, kind, places)),
        background=surroundings(chance),
        words=(Words("+", 500, 500, 170, label=False),) if as_sum else (),
        light=daylight(chance),
        task="counting",
    )


def _scattered(chance: Chance, count: int) -> list[tuple[int, int]]:
    return chance.shuffled("cells", _CELLS)[:count]


def _sum_places(chance: Chance, count: int) -> list[tuple[int, int]]:
    left = chance.between("left", max(1, count - 3), min(3, count - 1))
    return [*_HALVES[left], *((x + 640, y) for x, y in _HALVES[count - left])]


def _alike(chance: Chance, kind: str, places: list[tuple[int, int]]) -> list[Thing]:
    things = []
    for i, (x, y) in enumerate(places):
        own = chance.part(f"object {i}")
        at = (x + own.between("x", -20, 20), y + own.between("y", -20, 20))
        things.append(look(own, kind, at=at, size=_SIZE + own.between("size", -20, 20)))
    return things
