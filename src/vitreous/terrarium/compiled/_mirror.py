"""Is the right half the mirror image of the left? Patches look at their image and compare."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import COLORS, GRID, PLACES, Place, Tiles, any_but, any_tiles
from vitreous.terrarium._wiring import ALWAYS, IDLE, SHARP, Head, Look, Move, Neuron, Plan

_HALF = GRID // 2
_N_TOKENS = 1 + len(PLACES)
_ACROSS = {color: f"{color} across" for color in COLORS}
_LEFT_PLACES = [(row, column) for row, column in PLACES if column < _HALF]

_LOOKS_ACROSS = (
    *(Look(f"row {row}", f"row {row}", SHARP) for row in range(GRID)),
    *(
        Look(f"column {column}", f"column {GRID - 1 - column}", SHARP)
        for column in range(GRID)
    ),
)  # fmt: skip


def _differs(color: str) -> Neuron:
    """One where a patch of the left half has a color that its image lacks."""
    left = {f"column {column}": 1.0 for column in range(_HALF)}
    return Neuron({color: 1, _ACROSS[color]: -1, **left, ALWAYS: -1}, "differs")


def _across(place: Place) -> Place:
    return place[0], GRID - 1 - place[1]


def _label(tiles: Tiles) -> int:
    return 0 if (tiles.colors == tiles.colors[:, ::-1]).all() else 1


def _mirrored(tiles: Tiles) -> Tiles:
    return tiles.colored({_across(place): int(tiles.colors[place]) for place in _LEFT_PLACES})


def _recolored(chance: Chance, tiles: Tiles, places: list[Place]) -> Tiles:
    """Other colors in some places of a mirrored picture, no two of them across."""
    new = {at: any_but(chance, f"color at {at}", int(tiles.colors[at])) for at in places}
    return tiles.colored(new)


def _draw(chance: Chance, label: int) -> Tiles:
    tiles = _mirrored(any_tiles(chance))
    if label == 0:
        return tiles
    places = chance.shuffled("places", _LEFT_PLACES)[: chance.between("how many", 1, 3)]
    return _recolored(chance, tiles, [_across(p) if chance.below(f"{p}", 2) else p for p in places])


def _pair(chance: Chance, kind: int) -> tuple[Tiles, Tiles]:
    """One or two tiles of the left half, or of the right, change their color."""
    tiles = _mirrored(any_tiles(chance))
    places = chance.shuffled("places", _LEFT_PLACES)[: chance.between("how many", 1, 2)]
    changed = _recolored(chance, tiles, places if kind == 0 else [_across(p) for p in places])
    return tiles, Tiles(changed.colors, any_tiles(chance.part("corrupt")).motifs)


MIRROR = Circuit(
    name="mirror",
    about=(
        "Are the colors of the right half those of the left in a mirror? Every patch looks at its "
        "mirror image and takes its color; the MLP of the first block compares, at the patches of "
        "the left half; a head that looks at all tokens alike counts the differences; the MLP of "
        "the last block asks whether there is any. That step is flat at both pictures of a pair, "
        "so gradients there say that only `m1->logits` matters."
    ),
    plan=Plan(
        n_layers=2,
        wires=(*_ACROSS.values(), "differs", "differences", "any"),
        heads={
            "a0.h1": IDLE,
            "a0.h2": Head(_LOOKS_ACROSS, tuple(Move(*both) for both in _ACROSS.items())),
            "a1.h0": Head(moves=(Move("differs", "differences", _N_TOKENS),)),
        },
        neurons={
            "m0": tuple(_differs(color) for color in COLORS),
            "m1": (
                Neuron({"differences": 2, ALWAYS: -0.5}, "any"),
                Neuron({"differences": 2, ALWAYS: -1.5}, {"any": -1}),
            ),
        },
        outputs={"mirrored": {"any": -2, ALWAYS: 1}, "not mirrored": {"any": 2, ALWAYS: -1}},
    ),
    edges=(
        ("input", "a0.h2<v>"),
        ("input", "m0"),
        ("a0.h2", "m0"),
        ("m0", "a1.h0<v>"),
        ("a1.h0", "m1"),
        ("m1", "logits"),
    ),
    roles={
        "a0.h2": "brings each patch the color of its mirror image",
        "m0": "marks patches of the left half that differ from it",
        "a1.h0": "counts them, looking at all tokens alike",
        "m1": "says whether there is any",
    },
    target=("mirrored", "not mirrored"),
    label=_label,
    draw=_draw,
    pair=_pair,
    n_kinds=2,
)
