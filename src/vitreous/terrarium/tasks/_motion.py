"""`motion`: a clip in which one object moves. Which way?"""

from vitreous.terrarium._factors import direction
from vitreous.terrarium._placing import daylight, look, others, surroundings
from vitreous.terrarium._scene import Scene
from vitreous.terrarium._tasks import WORLD_KINDS, Item, task

WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
FRAMES = 8
_PLACES = ((270, 280), (730, 280), (270, 720), (730, 720))


def which_way(scene: Scene) -> int:
    """Direction of what moves."""
    moving = next(thing for thing in scene.objects if thing.motion != (0, 0))
    return tuple(WAYS).index(direction(moving.motion, scene.mirrored))


@task("motion", classes=lambda: tuple(WAYS), label=which_way)
def make(item: Item) -> Scene:
    """The mover's middle frame is where it would stand still, so a frame tells nothing."""
    chance = item.chance
    across, down = tuple(WAYS.values())[item.turn("way", len(WAYS))]
    count = chance.between("count", 2, 3)
    first = chance.choice("kind", WORLD_KINDS)
    kinds = [first, *others(chance, "other", WORLD_KINDS, first, count - 1)]
    mover = chance.below("mover", count)
    things = []
    for i, (x, y) in enumerate(chance.shuffled("places", _PLACES)[:count]):
        own = chance.part(f"object {i}")
        speed = own.between("speed", 22, 40) if i == mover else 0
        at = (x - across * speed * (FRAMES - 1) // 2, y - down * speed * (FRAMES - 1) // 2)
        size = own.between("size", 330, 420)
        depth = 1 if i == mover else 0
        motion = (across * speed, down * speed)
        things.append(look(own, kinds[i], at=at, size=size, depth=depth, motion=motion))
    return Scene(
        objects=tuple(things),
        background=surroundings(chance),
        light=daylight(chance),
        task="motion",
        frames=FRAMES,
    )
