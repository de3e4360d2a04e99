"""Models that were trained to solve a task by a circuit that was fixed before."""

from dataclasses import dataclass
from itertools import count

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.models import Graph, load
from vitreous.terrarium._known_circuit import KnownCircuit
from vitreous.terrarium._mark_tasks import MARK_TASKS, MarkTask
from vitreous.terrarium._values import whole

# The labels that clean and corrupt pictures of a pair have.
_ANSWERS = {"common": ("red", "none"), "cued": ("red", "green"), "told": ("red", "green")}
TRAINED_CIRCUITS: tuple[str, ...] = tuple(_ANSWERS)
"""Names of the tasks that a model was trained to solve by a given circuit."""


@dataclass(frozen=True, eq=False, repr=False)
class TrainedCircuit(KnownCircuit):
    """A model that was trained to have a circuit; made by `trained_circuit`.

    Its edges are those of the task's causal model: each leads from a node that stands for a
    variable, or from the input, to the queries, keys or values by which another node was trained to
    read it. Truth is what training asked for, and weights are no construction: an edge outside of
    the circuit moves the target a little, too. `docs/terrarium.md` says how much.

    Attributes:
        task: The task, with its causal model; the others are those of `KnownCircuit`.
    """

    task: MarkTask

    def images(
        self, n: int, seed: int = 0
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
        """As in `KnownCircuit`: pictures that were neither trained nor tested on."""
        n = whole("n", n, 1, hint="Try 16.")
        batch = self.task.images(f"images {whole('seed', seed, 0)}", n)[:n]
        assert batch.labels is not None
        return batch.pixels, batch.labels

    def pairs(
        self, n: int, seed: int = 0
    ) -> tuple[
        Float[Tensor, "batch channels rows columns"], Float[Tensor, "batch channels rows columns"]
    ]:
        """As in `KnownCircuit`: the two pictures of a pair are drawn apart from one another."""
        n, seed = whole("n", n, 1, hint="Try 16."), whole("seed", seed, 0)
        clean, corrupt = (
            torch.stack([self._answered(f"{half} {seed} {pair}", answer) for pair in range(n)])
            for half, answer in zip(("clean", "corrupt"), _ANSWERS[self.name], strict=True)
        )
        return clean, corrupt

    def _answered(self, split: str, answer: str) -> Float[Tensor, "channels rows columns"]:
        """The first picture of a split with this answer."""
        label = self.task.labels.find(answer)
        wanted = (
            i for i in count() if self.task.answer(self.task.symbols(split, i)[None]) == label
        )
        return self.task.images(split).read(next(wanted)).pixels


def trained_circuit(name: str) -> TrainedCircuit:
    """A model that was trained to solve a task by a given circuit.

    Args:
        name: One of `TRAINED_CIRCUITS`.

    Raises:
        UnknownNameError: There is no such circuit.
    """
    if name not in TRAINED_CIRCUITS:
        names = ", ".join(TRAINED_CIRCUITS)
        raise unknown("trained circuit", name, TRAINED_CIRCUITS, f"There are: {names}.")
    task, model = MARK_TASKS[name], load(f"circuit-{name}")
    answer, other = _ANSWERS[name]
    return TrainedCircuit(
        name,
        task.about,
        model,
        Graph.of(model).keeping(task.causal.edges),
        {variable.node: variable.about for variable in task.causal.variables},
        model.target(answer, minus=other),
        1,
        task,
    )


def trained_circuits() -> list[TrainedCircuit]:
    """All models that were trained to have a given circuit, loaded anew."""
    return [trained_circuit(name) for name in TRAINED_CIRCUITS]
