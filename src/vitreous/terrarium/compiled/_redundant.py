"""Is the upper left corner red? Two heads bring the same answer, and either will do."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import COLORS, Tiles, any_but, any_tiles
from vitreous.terrarium._wiring import ALWAYS, IDLE, SHARP, Head, Look, Move, Neuron, Plan

_RED, _CORNER = COLORS.index("red"), (0, 0)
_FETCHES = Head(
    (Look(ALWAYS, {"row 0": 1, "column 0": 1}, SHARP),), (Move("red", "votes for red"),)
)


def _label(tiles: Tiles) -> int:
    return 0 if tiles.colors[_CORNER] == _RED else 1


def _draw(chance: Chance, label: int) -> Tiles:
    color = _RED if label == 0 else any_but(chance, "color", _RED)
    return any_tiles(chance).colored({_CORNER: color})


def _pair(chance: Chance, _: int) -> tuple[Tiles, Tiles]:
    return _draw(chance.part("clean"), 0), _draw(chance.part("corrupt"), 1)


REDUNDANT = Circuit(
    name="redundant",
    about=(
        "Is the upper left corner red? A head of the first block brings the answer, one of the "
        "second brings it again, and the last MLP wants one vote. Denoising finds each way: one "
        "vote is enough. Noising finds neither, since the other vote is still there, and moves "
        "the target by `m1->logits` alone. An edge is true here if denoising alone moves the "
        "target; methods that take edges out one by one keep one way of the two and drop the "
        "other, and gradients at the clean picture see a settled vote."
    ),
    plan=Plan(
        n_layers=2,
        wires=("votes for red", "is red"),
        heads={"a0.h1": _FETCHES, "a0.h3": IDLE, "a1.h2": _FETCHES},
        neurons={
            "m1": (
                Neuron("votes for red", "is red"),
                Neuron({"votes for red": 1, ALWAYS: -1}, {"is red": -1}),
            )
        },
        outputs={"red": {"is red": 2, ALWAYS: -1}, "not red": {"is red": -2, ALWAYS: 1}},
    ),
    edges=(
        ("input", "a0.h1<v>"),
        ("input", "a1.h2<v>"),
        ("a0.h1", "m1"),
        ("a1.h2", "m1"),
        ("m1", "logits"),
    ),
    roles={
        "a0.h1": "brings the redness of the upper left corner",
        "a1.h2": "brings it once more",
        "m1": "says whether there is a vote",
    },
    target=("red", "not red"),
    label=_label,
    draw=_draw,
    pair=_pair,
)
