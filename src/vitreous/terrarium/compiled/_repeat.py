"""Is the motif of one row repeated in another? A duplicate-patch head feeds an induction head."""

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import GRID, MOTIFS, Tiles, any_but, any_tiles
from vitreous.terrarium._wiring import ALWAYS, IDLE, SHARP, Head, Look, Move, Neuron, Plan

# Soft enough that gradients along the way from corrupt to clean reach queries and keys.
_ALIKE, _NEXT = 5.0, 6.0
_ASKS, _ANSWERS = (2, 0), (2, 1)
_EXPECTED, _WANTED, _SEEN = (
    tuple(f"{word} {motif}" for motif in MOTIFS) for word in ("expected", "wanted", "seen")
)
_COPIES = tuple(f"copy in column {column}" for column in range(GRID))

_IN_ROW_0 = Look(ALWAYS, "row 0", SHARP)


def _at(place: tuple[int, int]) -> Look:
    row, column = place
    return Look(ALWAYS, {f"row {row}": 1, f"column {column}": 1}, SHARP)


def _moves(read: tuple[str, ...], write: tuple[str, ...]) -> tuple[Move, ...]:
    return tuple(Move(*both) for both in zip(read, write, strict=True))


_COLUMNS = tuple(f"column {column}" for column in range(GRID))
_HEADS = {
    "a0.h0": Head(
        (_IN_ROW_0, *(Look(motif, motif, _ALIKE) for motif in MOTIFS)), _moves(_COLUMNS, _COPIES)
    ),
    "a0.h3": Head((_at(_ANSWERS),), _moves(MOTIFS, _SEEN)),
    "a1.h1": IDLE,
    "a1.h2": Head(
        (
            _IN_ROW_0,
            *(Look(_COPIES[i], _COLUMNS[(i + 1) % GRID], _NEXT) for i in range(GRID)),
        ),
        _moves(MOTIFS, _EXPECTED),
    ),
    "a2.h1": Head((_at(_ASKS),), _moves(_EXPECTED, _WANTED)),
}


def _follower(motifs: list[int], motif: int) -> int:
    """What stands behind a motif in row 0, read as a ring."""
    return motifs[(motifs.index(motif) + 1) % GRID]


def _label(tiles: Tiles) -> int:
    asked, answer = int(tiles.motifs[_ASKS]), int(tiles.motifs[_ANSWERS])
    return 0 if _follower(tiles.motifs[0].tolist(), asked) == answer else 1


def _with(tiles: Tiles, row: list[int], asked: int, answer: int) -> Tiles:
    first = {(0, column): motif for column, motif in enumerate(row)}
    return tiles.patterned({**first, _ASKS: asked, _ANSWERS: answer})


def _draw(chance: Chance, label: int) -> Tiles:
    row = chance.shuffled("row", range(GRID))
    asked = chance.below("asked", GRID)
    right = _follower(row, asked)
    answer = right if label == 0 else any_but(chance, "answer", right)
    return _with(any_tiles(chance), row, asked, answer)


def _pair(chance: Chance, kind: int) -> tuple[Tiles, Tiles]:
    """The answer changes, what is asked for, what follows it in row 0, or where it stands there."""
    row = chance.shuffled("row", range(GRID))
    asked = chance.below("asked", GRID)
    start, answer = row.index(asked), _follower(row, asked)
    clean = _with(any_tiles(chance.part("clean")), row, asked, answer)
    if kind == 0:
        changed = row, asked, any_but(chance, "answer", answer)
    elif kind == 1:
        changed = row, any_but(chance, "other", asked), answer
    else:
        changed = _swapped(row, start + 1 if kind == 2 else start), asked, answer
    return clean, _with(any_tiles(chance.part("corrupt")), *changed)


def _swapped(row: list[int], at: int) -> list[int]:
    """The motif there changes places with the one across the ring."""
    row = list(row)
    here, across = at % GRID, (at + GRID // 2) % GRID
    row[here], row[across] = row[across], row[here]
    return row


REPEAT = Circuit(
    name="repeat",
    about=(
        "Row 2 begins with two motifs: do they follow one another in row 0, read as a ring? Every "
        "patch looks for its own motif in row 0 and notes the column (a duplicate-patch head); an "
        "induction-like head of the next block looks one column further and fetches the motif "
        "there; the class token gets it from the first patch of row 2, the motif of the second "
        "patch beside it, and an MLP says whether they are the same. Attention is soft where it "
        "depends on the picture. Gradients of queries and keys are small at both pictures of a "
        "pair, since the softmax is nearly settled there, and larger between them."
    ),
    plan=Plan(
        n_layers=3,
        wires=(*_COPIES, *_EXPECTED, *_WANTED, *_SEEN, "same"),
        heads=_HEADS,
        neurons={
            "m2": tuple(
                Neuron({wanted: 1, seen: 1, ALWAYS: -1}, "same")
                for wanted, seen in zip(_WANTED, _SEEN, strict=True)
            )
        },
        outputs={"repeated": {"same": 2, ALWAYS: -1}, "not repeated": {"same": -2, ALWAYS: 1}},
    ),
    edges=(
        ("input", "a0.h0<q>"),
        ("input", "a0.h0<k>"),
        ("input", "a0.h3<v>"),
        ("a0.h0", "a1.h2<q>"),
        ("input", "a1.h2<v>"),
        ("a1.h2", "a2.h1<v>"),
        ("a0.h3", "m2"),
        ("a2.h1", "m2"),
        ("m2", "logits"),
    ),
    roles={
        "a0.h0": "finds the same motif in row 0 and notes its column (duplicate patch)",
        "a0.h3": "brings the motif of the second patch of row 2 to the class token",
        "a1.h2": "fetches the motif behind the noted column (induction-like)",
        "a2.h1": "brings what the first patch of row 2 has fetched to the class token",
        "m2": "says whether the two motifs are the same",
    },
    target=("repeated", "not repeated"),
    label=_label,
    draw=_draw,
    pair=_pair,
    n_kinds=4,
)
