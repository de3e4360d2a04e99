"""How many tiles are marked? An MLP marks, a head counts, an MLP makes steps of the count."""

import numpy as np

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import COLORS, MOTIFS, PLACES, Place, Tiles, any_tiles
from vitreous.terrarium._wiring import ALWAYS, Head, Move, Neuron, Plan

_RED, _CHECKS = COLORS.index("red"), MOTIFS.index("checks")
_MOST = 4
_N_TOKENS = 1 + len(PLACES)
# A step rises from `k - 0.9` to `k - 0.1`, and is flat wherever a count can be.
_SLOPE = 1.25
_STEPS = {k: f"at least {k}" for k in range(2, _MOST + 1)}


def _step(k: int) -> tuple[Neuron, Neuron]:
    """Together 0 below `k` and 1 from `k` on."""
    middle = -_SLOPE * (k - 0.5)
    low = {"count": _SLOPE, ALWAYS: middle + 0.5}
    high = {"count": _SLOPE, ALWAYS: middle - 0.5}
    return Neuron(low, _STEPS[k]), Neuron(high, {_STEPS[k]: -1})


def _logit(count: int) -> dict[str, float]:
    """`-|count - what was counted|`."""
    signs = {step: 1.0 if k <= count else -1.0 for k, step in _STEPS.items()}
    return {**signs, ALWAYS: 1.0 - count}


# Never on in a picture of the task: of 16 tiles one is marked. Between two there may be no mark.
_FALLBACK = Neuron({"reds": 0.25, "count": -4}, _STEPS[2])


def _marked(tiles: Tiles) -> np.ndarray:
    return (tiles.colors == _RED) & (tiles.motifs == _CHECKS)


def _label(tiles: Tiles) -> int:
    return int(_marked(tiles).sum()) - 1


def _with_marks(chance: Chance, places: list[Place]) -> Tiles:
    tiles = any_tiles(chance)
    unmarked = {
        place: chance.choice(f"motif at {place}", [m for m in range(4) if m != _CHECKS])
        for place in PLACES
        if _marked(tiles)[place]
    }
    tiles = tiles.patterned(unmarked | dict.fromkeys(places, _CHECKS))
    return tiles.colored(dict.fromkeys(places, _RED))


def _draw(chance: Chance, label: int) -> Tiles:
    return _with_marks(chance, chance.shuffled("places", PLACES)[: label + 1])


def _pair(chance: Chance, kind: int) -> tuple[Tiles, Tiles]:
    """Some marks go, or all do and fewer appear elsewhere."""
    fewer = chance.between("fewer", 1, _MOST - 1)
    more = chance.between("more", fewer + 1, _MOST)
    places = chance.shuffled("places", PLACES)
    left = places[:fewer] if kind == 0 else places[more : more + fewer]
    clean, corrupt = chance.part("clean"), chance.part("corrupt")
    return _with_marks(clean, places[:more]), _with_marks(corrupt, left)


COUNT = Circuit(
    name="count",
    about=(
        "How many tiles, one to four, are marked, that is, red with checks? The MLP of the first "
        "block marks those that are both; a head that looks at all tokens alike averages the "
        "marks; the MLP of the last block makes a step for each count. Steps are flat at every "
        "count: gradients at a picture say that nothing matters but `m1->logits`, and only those "
        "along the way between two pictures find the circuit. There they find more than is true: "
        "pictures halfway may have no mark at all, and a neuron that never fires in the task then "
        "counts what is red, which `a0.h0` brings."
    ),
    plan=Plan(
        n_layers=2,
        wires=("marked", "count", "reds", *_STEPS.values()),
        heads={
            "a0.h0": Head(moves=(Move("red", "reds", _N_TOKENS),)),
            "a1.h2": Head(moves=(Move("marked", "count", _N_TOKENS),)),
        },
        neurons={
            "m0": (Neuron({"red": 2, "checks": 2, ALWAYS: -3}, "marked"),),
            "m1": (*_step(2), *_step(3), *_step(4), _FALLBACK),
        },
        outputs={str(count): _logit(count) for count in range(1, _MOST + 1)},
    ),
    edges=(("input", "m0"), ("m0", "a1.h2<v>"), ("a1.h2", "m1"), ("m1", "logits")),
    roles={
        "m0": "marks tiles that are red and have checks",
        "a1.h2": "counts the marks, looking at all tokens alike",
        "m1": "makes a step for each count",
    },
    target=(str(_MOST), "1"),
    label=_label,
    draw=_draw,
    pair=_pair,
    n_kinds=2,
)
