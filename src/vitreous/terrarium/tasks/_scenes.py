"""`scenes`: which kinds are there? Two to four objects, and a caption."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._placing import daylight, look, others, surroundings
from vitreous.terrarium._scene import Scene, Thing
from vitreous.terrarium._tasks import WORLD_KINDS, Item, task

# Middles of what stands side by side, by how many there are.
_PLACES = {
    2: (((270, 520), (730, 520)), ((500, 270), (500, 730)), ((290, 320), (710, 690))),
    3: (((270, 300), (730, 330), (500, 730)), ((500, 280), (270, 710), (730, 710))),
    4: (((280, 280), (720, 280), (280, 720), (720, 720)),),
}
_SIZES = {2: (400, 500), 3: (340, 460), 4: (330, 440)}


def which_kinds(scene: Scene) -> tuple[int, ...]:
    """Of every kind, whether it is there."""
    there = {thing.kind for thing in scene.objects}
    return tuple(int(kind in there) for kind in WORLD_KINDS)


@task("scenes", classes=lambda: WORLD_KINDS, label=which_kinds)
def make(item: Item) -> Scene:
    chance = item.chance
    first = WORLD_KINDS[item.turn("kind", len(WORLD_KINDS))]
    count = chance.between("count", 2, 4)
    kinds = [first, *others(chance, "kind", WORLD_KINDS, first, count - 1)]
    return Scene(
        objects=tuple(group(chance, kinds)),
        background=surroundings(chance),
        light=daylight(chance),
        task="scenes",
    )


def group(chance: Chance, kinds: list[str]) -> list[Thing]:
    """Two to four objects side by side, in random order."""
    places = chance.choice("layout", _PLACES[len(kinds)])
    places = chance.shuffled("places", places)
    things = []
    for i, (kind, (x, y)) in enumerate(zip(kinds, places, strict=True)):
        own = chance.part(f"object {i}")
        at = (x + own.between("x", -40, 40), y + own.between("y", -40, 40))
        things.append(look(own, kind, at=at, size=own.between("size", *_SIZES[len(kinds)])))
    return things
