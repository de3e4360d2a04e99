"""What a circuit is: a plan of weights, a task, and the edges that matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vitreous.terrarium._chance import Chance
from vitreous.terrarium._tiles import Tiles
from vitreous.terrarium._wiring import Plan


@dataclass(frozen=True)
class Circuit:
    """A task on pictures of tiles, and how a model solves it.

    Attributes:
        name: What it is called.
        about: The question, how the model answers it, and where methods go wrong.
        plan: The weights; the labels are those of `plan.outputs`.
        edges: The true ones: source and destination.
        roles: What each head and MLP of the circuit does.
        target: The label that clean pictures have more of, and the one that corrupt ones have.
        label: The answer, read off the tiles.
        draw: Tiles with that answer.
        pair: Clean and corrupt tiles, of a kind of pair.
        n_kinds: Kinds of pairs; together they exercise every edge.
    """

    name: str
    about: str
    plan: Plan
    edges: tuple[tuple[str, str], ...]
    roles: Mapping[str, str]
    target: tuple[str, str]
    label: Callable[[Tiles], int]
    draw: Callable[[Chance, int], Tiles]
    pair: Callable[[Chance, int], tuple[Tiles, Tiles]]
    n_kinds: int = 1
