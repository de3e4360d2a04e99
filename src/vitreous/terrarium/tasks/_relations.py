"""`relations`: an animal and a thing. Where is the animal, is it larger, are two the same?"""

from vitreous.terrarium._captions import position
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._kinds import KINDS
from vitreous.terrarium._placing import daylight, look, others, surroundings
from vitreous.terrarium._scene import Scene, Thing
from vitreous.terrarium._tasks import WORLD_KINDS, Item, task

ANSWERS = {
    "position": ("left of", "right of", "above", "below"),
    "size": ("larger", "smaller"),
    "same": ("same", "different"),
}
_WAYS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
_BIG, _SMALL = (460, 520), (290, 350)


def answer(scene: Scene, about: str = "position") -> int:
    """The relation of the first object to the second."""
    first, second = scene.objects[:2]
    if about == "position":
        return ANSWERS["position"].index(position(first, second, scene.mirrored))
    holds = first.size > second.size if about == "size" else first.kind == second.kind
    return 0 if holds else 1


def _check(about: str) -> None:
    if about not in tuple(ANSWERS):
        raise ValueError(
            f"`about` must be one of {', '.join(ANSWERS)}; got {about!r}. Choose one of them."
        )


@task(
    "relations",
    classes=lambda about="position": ANSWERS[about],
    label=answer,
    options={"about": "position"},
    check=_check,
)
def make(item: Item, about: str = "position") -> Scene:
    chance = item.chance
    right = item.turn("answer", len(ANSWERS[about]))
    way = right if about == "position" else chance.below("way", 4)
    larger = right == 0 if about == "size" else chance.below("larger", 2) == 0
    kinds = _kinds(chance, about == "same", right == 0)
    return Scene(
        objects=_pair(chance, kinds, _WAYS[ANSWERS["position"][way]], larger),
        background=surroundings(chance),
        light=daylight(chance),
        task="relations",
    )


def _kinds(chance: Chance, asked: bool, same: bool) -> tuple[str, str]:
    if asked:
        first = chance.choice("kind", WORLD_KINDS)
        return first, first if same else others(chance, "other", WORLD_KINDS, first, 1)[0]
    animals = [kind for kind in WORLD_KINDS if KINDS[kind].group == "animal"]
    rest = [kind for kind in WORLD_KINDS if KINDS[kind].group != "animal"]
    return chance.choice("animal", animals), chance.choice("thing", rest)


def _pair(
    chance: Chance, kinds: tuple[str, str], way: tuple[int, int], larger: bool
) -> tuple[Thing, Thing]:
    sizes = (_BIG, _SMALL) if larger else (_SMALL, _BIG)
    across = chance.between("across", -110, 110)  # less than what lies along the way
    things = []
    for i, sign in enumerate((1, -1)):
        own = chance.part(f"object {i}")
        along = sign * (235 + own.between("along", -25, 25))
        side = sign * across // 2
        x, y = (along * way[0] + side * way[1], along * way[1] + side * way[0])
        at = (500 + x, 500 + y)
        things.append(look(own, kinds[i], at=at, size=own.between("size", *sizes[i])))
    return things[0], things[1]
