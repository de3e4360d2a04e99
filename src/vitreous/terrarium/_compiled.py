"""Models whose circuit is known, because their weights are set by construction."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.models import Graph, HookedViT, Target, weight_hash
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._tiles import Tiles, pictures
from vitreous.terrarium._values import whole
from vitreous.terrarium._wiring import compiled
from vitreous.terrarium.compiled import CIRCUITS

COMPILED_MODELS: tuple[str, ...] = tuple(CIRCUITS)
"""Names of the models whose circuit is known."""


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """A model whose circuit is known, with its task; made by `compiled_model`.

    An edge is true if and only if interchanging it alone moves the target on some pair: its
    destination reads what its source wrote in the other picture's run, and everything else is
    live. In every model but `redundant` it makes no difference whether values come from the clean
    run (denoise) or from the corrupt one (noise). In `redundant`, truth is that of denoising.

    Attributes:
        name: One of `COMPILED_MODELS`.
        about: The question, how the model answers it, and where methods go wrong.
        model: Float64; no norms, ReLU, class-token readout.
        graph: All edges of the model; the true ones are `included`.
        roles: What each head and MLP of the circuit does.
        target: Larger for the clean picture of every pair than for the corrupt one, in logits.
        n_kinds: Kinds of pairs, which take turns; pairs of all kinds exercise every true edge.
    """

    name: str
    about: str
    model: HookedViT
    graph: Graph
    roles: Mapping[str, str]
    target: Target
    n_kinds: int
    _circuit: Circuit = field(repr=False)

    def images(
        self, n: int, seed: int = 0
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
        """Pictures of the task and their labels; the model is right about every one.

        Args:
            n: How many.
            seed: Of the drawing. Picture `i` of a seed is the same whatever `n` is.

        Returns:
            Levels in 0 .. 1, and indices of `model.labels`.
        """
        seed = _whole_seed(seed)
        draws = [Chance("images", self.name, seed, i) for i in range(_count(n))]
        n_labels = self.model.cfg.n_classes or 1
        tiles = [self._circuit.draw(each, each.below("label", n_labels)) for each in draws]
        return pictures(tiles), torch.tensor([self._circuit.label(each) for each in tiles])

    def pairs(
        self, n: int, seed: int = 0
    ) -> tuple[
        Float[Tensor, "batch channels rows columns"], Float[Tensor, "batch channels rows columns"]
    ]:
        """Clean and corrupt pictures, one pair per row.

        What the question isn't about is drawn anew in the corrupt picture.

        Args:
            n: How many; with fewer than `n_kinds`, some true edges may move nothing.
            seed: Of the drawing. Pair `i` of a seed is the same whatever `n` is.
        """
        made = self._tile_pairs(_count(n), _whole_seed(seed))
        clean, corrupt = zip(*made, strict=True)
        return pictures(clean), pictures(corrupt)

    def _tile_pairs(self, n: int, seed: int) -> list[tuple[Tiles, Tiles]]:
        draws = [Chance("pairs", self.name, seed, i) for i in range(n)]
        return [self._circuit.pair(chance, i % self.n_kinds) for i, chance in enumerate(draws)]

    def __repr__(self) -> str:
        cfg, graph = self.model.cfg, self.graph
        return (
            f"CompiledModel({self.name!r}, {cfg.n_layers} layers x {cfg.n_heads} heads, "
            f"{graph.count} of {graph.n_possible} edges are true, target {self.target.name!r})"
        )


def compiled_model(name: str) -> CompiledModel:
    """A model whose circuit is known.

    Args:
        name: One of `COMPILED_MODELS`.

    Raises:
        UnknownNameError: There is no such model.
    """
    if name not in CIRCUITS:
        names = ", ".join(COMPILED_MODELS)
        raise unknown("compiled model", name, COMPILED_MODELS, f"There are: {names}.")
    circuit = CIRCUITS[name]
    model = compiled(name, circuit.plan)
    model.card |= {"name": name, "source": "compiled", "about": circuit.about}
    model.card["weight_hash"] = weight_hash(model)
    return CompiledModel(
        name,
        circuit.about,
        model,
        Graph.of(model).keeping(circuit.edges),
        circuit.roles,
        model.target(*circuit.target),
        circuit.n_kinds,
        circuit,
    )


def compiled_models() -> list[CompiledModel]:
    """All models whose circuit is known, made anew."""
    return [compiled_model(name) for name in COMPILED_MODELS]


def _count(n: int) -> int:
    return whole("n", n, 1, hint="Try 16.")


def _whole_seed(seed: int) -> int:
    return whole("seed", seed, 0, hint="Pass one from 0 on.")
