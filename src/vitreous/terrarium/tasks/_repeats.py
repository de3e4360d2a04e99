"""`repeats`: a row of motifs starts again. What comes where the question mark stands?

Cells are read like text, eight in a line. The answer stands one period earlier, after the motif
that is now before the question mark: what an induction head would look for.
"""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._placing import surroundings
from vitreous.terrarium._scene import Light, Scene, Thing, Words
from vitreous.terrarium._tasks import Item, task

MOTIFS = ("square", "heart", "triangle", "disk", "cross", "ring", "star", "oval")
COLORS = ("red", "blue", "green", "yellow", "purple", "pink")
CELLS = 8
_CELL = 1000 // CELLS


def next_motif(scene: Scene) -> int:
    """The motif that comes next."""
    things = scene.objects
    return MOTIFS.index(things[len(things) - period(scene)].kind)


def period(scene: Scene) -> int:
    """After how many cells the row starts again."""
    row = [(thing.kind, thing.palette) for thing in scene.objects]
    fitting = (p for p in range(1, len(row)) if row[p:] == row[:-p])
    return next(fitting, len(row))


@task("repeats", classes=lambda: MOTIFS, label=next_motif)
def make(item: Item) -> Scene:
    chance = item.chance
    answer = MOTIFS[item.turn("motif", len(MOTIFS))]
    length = chance.between("period", 5, 16)
    shown = chance.between("shown", length + 3, min(60, 3 * length))
    row = _row(chance, length, shown % length, answer)
    things = [_motif(*row[cell % length], cell) for cell in range(shown)]
    x, y = _middle(shown)
    return Scene(
        objects=tuple(things),
        background=surroundings(chance, "paper"),
        words=(Words("?", x, y, 62),),
        light=Light(strength=0, shadow=0),
        task="repeats",
    )


def _row(chance: Chance, length: int, asked: int, answer: str) -> list[tuple[str, str]]:
    """Different motifs, one of them the answer, so that each is enough to find one's place."""
    pairs = [(motif, color) for motif in MOTIFS for color in COLORS]
    given = (answer, chance.choice("color", COLORS))
    pairs.remove(given)
    row = chance.shuffled("row", pairs)[: length - 1]
    return [*row[:asked], given, *row[asked:]]


def _motif(kind: str, color: str, cell: int) -> Thing:
    x, y = _middle(cell)
    return Thing(kind=kind, x=x, y=y, size=104, palette=color)


def _middle(cell: int) -> tuple[int, int]:
    row, column = divmod(cell, CELLS)
    return column * _CELL + _CELL // 2, row * _CELL + _CELL // 2
