"""What models whose circuit is known have in common, so that methods are graded on all alike."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from vitreous.models import Graph, HookedViT, Target


@dataclass(frozen=True, eq=False, repr=False)
class KnownCircuit(ABC):
    """A model whose circuit is known, with its task.

    Attributes:
        name: Among those of its sort.
        about: The question.
        model: Who answers it.
        graph: All edges of the model; the true ones are `included`.
        roles: What each head and MLP of the circuit does.
        target: Larger for the clean picture of a pair than for the corrupt one, in logits.
        n_kinds: Kinds of pairs, which take turns; pairs of all kinds exercise every true edge.
    """

    name: str
    about: str
    model: HookedViT
    graph: Graph
    roles: Mapping[str, str]
    target: Target
    n_kinds: int

    @abstractmethod
    def images(
        self, n: int, seed: int = 0
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
        """Pictures of the task, as the model takes them, and indices of `model.labels`.

        Args:
            n: How many.
            seed: Of the drawing. Picture `i` of a seed is the same whatever `n` is.
        """

    @abstractmethod
    def pairs(
        self, n: int, seed: int = 0
    ) -> tuple[
        Float[Tensor, "batch channels rows columns"], Float[Tensor, "batch channels rows columns"]
    ]:
        """Clean and corrupt pictures, one pair per row.

        Args:
            n: How many; with fewer than `n_kinds`, some true edges may move nothing.
            seed: Of the drawing. Pair `i` of a seed is the same whatever `n` is.
        """

    def __repr__(self) -> str:
        cfg, graph = self.model.cfg, self.graph
        return (
            f"{type(self).__name__}({self.name!r}, {cfg.n_layers} layers x {cfg.n_heads} heads, "
            f"{graph.count} of {graph.n_possible} edges are true, target {self.target.name!r})"
        )
