"""What color has the tile with the cross? One head alone decides."""

import numpy as np

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import COLORS, MOTIFS, PLACES, Place, Tiles, any_but, any_tiles
from vitreous.terrarium._wiring import ALWAYS, IDLE, Head, Look, Move, Plan

_RED, _BLUE = COLORS.index("red"), COLORS.index("blue")
_CROSS = MOTIFS.index("cross")
# Soft: the tile with the cross gets 0.98 of the attention, and gradients reach the keys.
_CROSSED = 7.0


def _label(tiles: Tiles) -> int:
    [place] = np.argwhere(tiles.motifs == _CROSS)
    return (_RED, _BLUE).index(tiles.colors[tuple(place)])


def _with_cross(chance: Chance, place: Place) -> Tiles:
    tiles = any_tiles(chance)
    others = {
        each: any_but(chance, f"motif at {each}", _CROSS)
        for each in PLACES
        if tiles.motifs[each] == _CROSS
    }
    return tiles.patterned(others | {place: _CROSS})


def _draw(chance: Chance, label: int) -> Tiles:
    place = chance.choice("place", PLACES)
    return _with_cross(chance, place).colored({place: (_RED, _BLUE)[label]})


def _pair(chance: Chance, kind: int) -> tuple[Tiles, Tiles]:
    """The tile with the cross turns blue, or the cross moves from a red tile to a blue one."""
    here, there = chance.shuffled("places", PLACES)[:2]
    clean, corrupt = chance.part("clean"), chance.part("corrupt")
    if kind == 0:
        red, blue = _with_cross(clean, here), _with_cross(corrupt, here)
        return red.colored({here: _RED}), blue.colored({here: _BLUE})
    colors = {here: _RED, there: _BLUE}
    return _with_cross(clean, here).colored(colors), _with_cross(corrupt, there).colored(colors)


SWITCH = Circuit(
    name="switch",
    about=(
        "One tile has a cross: is it red or blue? A head of the last block looks for the cross "
        "from the class token and brings the color of the tile. It alone decides: exchanging what "
        "it writes for that of the other picture turns the answer round, and exchanging all other "
        "heads doesn't. Attention is soft; gradients of the keys are small at both pictures of a "
        "pair and larger between them."
    ),
    plan=Plan(
        n_layers=2,
        wires=("red there", "blue there"),
        heads={
            "a0.h2": IDLE,
            "a1.h1": Head(
                (Look(ALWAYS, "cross", _CROSSED),),
                (Move("red", "red there"), Move("blue", "blue there")),
            ),
        },
        neurons={},
        outputs={"red": {"red there": 4}, "blue": {"blue there": 4}},
    ),
    edges=(("input", "a1.h1<k>"), ("input", "a1.h1<v>"), ("a1.h1", "logits")),
    roles={"a1.h1": "finds the cross and brings the color of its tile"},
    target=("red", "blue"),
    label=_label,
    draw=_draw,
    pair=_pair,
    n_kinds=2,
)
