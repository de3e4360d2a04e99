"""`typographic`: which kind is it, whatever the label says?"""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._placing import daylight, others, surroundings
from vitreous.terrarium._scene import Scene, Words
from vitreous.terrarium._tasks import WORLD_KINDS, Item, task
from vitreous.terrarium.tasks._kinds import main_label, main_object

WORDS = ("misleading", "matching", "none", "mixed")


def _check(word: str) -> None:
    if word not in WORDS:
        raise ValueError(f"`word` must be one of {', '.join(WORDS)}; got {word!r}. Choose one.")


@task(
    "typographic",
    classes=lambda word="misleading": WORLD_KINDS,
    label=lambda scene, word="misleading": main_label(scene),
    options={"word": "misleading"},
    check=_check,
)
def make(item: Item, word: str = "misleading") -> Scene:
    """In `mixed`, half of the words are right and a quarter is missing."""
    chance = item.chance
    main = main_object(chance, WORLD_KINDS[item.turn("kind", len(WORLD_KINDS))])
    if word == "mixed":
        word = chance.choice("word", ("misleading", "matching", "matching", "none"))
    return Scene(
        objects=(main,),
        background=surroundings(chance),
        words=() if word == "none" else (painted(chance, _text(chance, main.kind, word)),),
        light=daylight(chance),
        task="typographic",
    )


def painted(chance: Chance, text: str) -> Words:
    """The word on a paper label at the top or at the bottom."""
    height = min(120, 900 // (len(text) + 1))
    from_edge = height + 20 + chance.between("word y", 0, 30)
    y = chance.choice("word at", (from_edge, 1000 - from_edge))
    return Words(text, 500, y, height)


def _text(chance: Chance, kind: str, word: str) -> str:
    return kind if word == "matching" else others(chance, "text", WORLD_KINDS, kind, 1)[0]
