"""Which of the two upper corners is red? Two heads fetch, an MLP compares."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import COLORS, GRID, Tiles, any_but, any_tiles
from vitreous.terrarium._wiring import ALWAYS, IDLE, SHARP, Head, Look, Move, Neuron, Plan

_RED = COLORS.index("red")
_LEFT, _RIGHT = (0, 0), (0, GRID - 1)


def _fetches(column: int, write: str) -> Head:
    corner = {"row 0": 1.0, f"column {column}": 1.0}
    return Head((Look(ALWAYS, corner, SHARP),), (Move("red", write),))


def _label(tiles: Tiles) -> int:
    return 0 if tiles.colors[_LEFT] == _RED else 1


def _draw(chance: Chance, label: int) -> Tiles:
    red, other = (_LEFT, _RIGHT) if label == 0 else (_RIGHT, _LEFT)
    return any_tiles(chance).colored({red: _RED, other: any_but(chance, "other", _RED)})


def _pair(chance: Chance, _: int) -> tuple[Tiles, Tiles]:
    return _draw(chance.part("clean"), 0), _draw(chance.part("corrupt"), 1)


CORNERS = Circuit(
    name="corners",
    about=(
        "Which of the two upper corners is red? A head looks at each corner, wherever it stands, "
        "and brings its redness; the MLP of the last block subtracts one from the other. "
        "Everything is linear between the two pictures of a pair, so gradients are exact here."
    ),
    plan=Plan(
        n_layers=2,
        wires=("left", "right", "more left", "more right"),
        heads={
            "a0.h1": _fetches(0, "left"),
            "a0.h3": _fetches(GRID - 1, "right"),
            "a1.h0": IDLE,
        },
        neurons={
            "m1": (
                Neuron({"left": 1, "right": -1}, "more left"),
                Neuron({"left": -1, "right": 1}, "more right"),
            )
        },
        outputs={"left": {"more left": 4}, "right": {"more right": 4}},
    ),
    edges=(
        ("input", "a0.h1<v>"),
        ("input", "a0.h3<v>"),
        ("a0.h1", "m1"),
        ("a0.h3", "m1"),
        ("m1", "logits"),
    ),
    roles={
        "a0.h1": "brings the redness of the upper left corner",
        "a0.h3": "brings the redness of the upper right corner",
        "m1": "says which of the two is larger",
    },
    target=("left", "right"),
    label=_label,
    draw=_draw,
    pair=_pair,
)
