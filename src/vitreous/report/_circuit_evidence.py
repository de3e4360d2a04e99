"""All numbers of a report on a circuit."""

from dataclasses import dataclass

import numpy as np
import xarray
from jaxtyping import Float

from vitreous.heads import HeadName
from vitreous.models import Graph, TokenLayout


@dataclass(frozen=True)
class CircuitEvidence:
    """What a report on a circuit shows, as numbers.

    Attributes:
        graph: The circuit: its included edges, with scores where there are some.
        layout: Where tokens are.
        target: What is measured.
        faithful: Of the circuit, as `faithfulness` returns it, with one `circuit`.
        effects: By part of the circuit (`a0.h1`, `m0`, `input`), in forward order: what the
            target's mean over pairs falls by when all edges from and to that part are taken out of
            the circuit, in units of the output; positive where the part speaks for the target.
        curve: Circuits of the best edges by size of score, as `faithfulness_curve` returns it;
            None where there are no scores.
        names: Names that heads earn, if there were images or scores of them.
        held_out: Whether the pairs are others than those that the circuit was found on; None
            where nobody has said.
    """

    graph: Graph
    layout: TokenLayout
    target: str
    faithful: xarray.Dataset
    effects: dict[str, float]
    curve: xarray.Dataset | None
    names: tuple[HeadName, ...]
    held_out: bool | None

    @property
    def faithfulness(self) -> float:
        """Of the mean over pairs: 0 like the empty circuit, 1 like the model."""
        return float(self.faithful["faithfulness"][0])

    @property
    def by_pair(self) -> Float[np.ndarray, " batch"]:
        """The same for each pair."""
        return self.faithful["faithfulness_of_pair"].to_numpy()[0]

    @property
    def worst_first(self) -> list[int]:
        """Pairs by how far their faithfulness is from 1."""
        return np.argsort(-np.abs(self.by_pair - 1), kind="stable").tolist()

    @property
    def share(self) -> float:
        """Of all edges, those in the circuit."""
        return self.graph.count / self.graph.n_possible
