"""Models whose circuit is known, because their weights are set by construction."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.models import Graph, weight_hash
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._circuit import Circuit
from vitreous.terrarium._known_circuit import KnownCircuit
from vitreous.terrarium._tiles import Tiles, pictures
from vitreous.terrarium._values import whole
from vitreous.terrarium._wiring import compiled
from vitreous.terrarium.compiled import CIRCUITS

COMPILED_MODELS: tuple[str, ...] = tuple(CIRCUITS)
"""Names of the models whose circuit is known."""


@dataclass(frozen=True, eq=False, repr=False)
class CompiledModel(KnownCircuit):
    """A model whose weights are set by construction; made by `compiled_model`.

    An edge is true if and only if interchanging it alone moves the target on some pair: its
    destination reads what its source wrote in the other picture's run, and everything else is
    live. In every model but `redundant` it makes no difference whether values come from the clean
    run (denoise) or from the corrupt one (noise). In `redundant`, truth is that of denoising.

    Attributes are those of `KnownCircuit`. Of all models of this sort, `about` tells how the model
    answers its question and where methods go wrong, and `model` has float64 weights, no norms,
    ReLUs, and a class token that is read.
    """

    _circuit: Circuit

    def images(
        self, n: int, seed: int = 0
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
        """As in `KnownCircuit`: levels in 0 .. 1; the model is right about every picture."""
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
        """As in `KnownCircuit`: what the question isn't about is drawn anew in the corrupt one."""
        made = self._tile_pairs(_count(n), _whole_seed(seed))
        clean, corrupt = zip(*made, strict=True)
        return pictures(clean), pictures(corrupt)

    def _tile_pairs(self, n: int, seed: int) -> list[tuple[Tiles, Tiles]]:
        draws = [Chance("pairs", self.name, seed, i) for i in range(n)]
        return [self._circuit.pair(chance, i % self.n_kinds) for i, chance in enumerate(draws)]


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
