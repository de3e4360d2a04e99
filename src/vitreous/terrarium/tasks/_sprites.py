"""`sprites`: the full grid of dSprites' factors.

References:
    Matthey, Higgins, Hassabis and Lerchner, "dSprites: Disentanglement testing Sprites dataset",
    2017. Departs from it: the shapes are drawn by our own renderer, anti-aliased, and rotations
    are rounded to tenths of a degree.
"""

from vitreous._errors import unknown
from vitreous.terrarium._scene import Background, Light, Scene, Thing
from vitreous.terrarium._tasks import Item, task
from vitreous.terrarium._values import whole

SHAPES = ("square", "oval", "heart")
GRID = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
"""Values of each factor; the last changes fastest."""
N_SPRITES = 3 * 6 * 40 * 32 * 32


def sprite_factors(index: int) -> dict[str, int]:
    """Place in the grid of an item.

    Raises:
        ValueError: There is no such item.
    """
    index, places = whole("index", index, 0, N_SPRITES - 1), {}
    for name, count in reversed(GRID.items()):
        index, places[name] = divmod(index, count)
    return {name: places[name] for name in GRID}


def sprite_index(**places: int) -> int:
    """The item at a place in the grid.

    Raises:
        UnknownNameError: There is no such factor.
        ValueError: A factor is missing, or has no such value.
    """
    for name in places:
        if name not in GRID:
            raise unknown("factor of `sprites`", name, GRID, f"There are {', '.join(GRID)}.")
    index = 0
    for name, count in GRID.items():
        index = index * count + whole(name, places.get(name), 0, count - 1)
    return index


def shape_label(scene: Scene) -> int:
    """Which shape."""
    return SHAPES.index(scene.objects[0].kind)


@task("sprites", classes=lambda: SHAPES, label=shape_label, splits={"all": N_SPRITES})
def make(item: Item) -> Scene:
    place = sprite_factors(item.index)
    sprite = Thing(
        kind=SHAPES[place["shape"]],
        x=250 + place["x"] * 500 // 31,
        y=250 + place["y"] * 500 // 31,
        size=180 + place["scale"] * 36,
        palette="white",
        shift=(10, 15, 25),
        rotation=(place["orientation"] * 3600 + 19) // 39,
    )
    light = Light(strength=0, shadow=0)
    return Scene((sprite,), Background("black", texture=0), light=light, task="sprites")
