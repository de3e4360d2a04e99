"""Weights by construction: a transformer whose residual stream has a name for every dimension.

A head is written down as what it looks at and what it moves, a neuron as what it reads and what it
writes, in names of dimensions ("wires").

References:
    Lindner et al., "Tracr: Compiled Transformers as a Laboratory for Interpretability", 2023,
    section 3 (named dimensions, a head per selection, ReLU steps in MLPs). Departs from it:
    circuits are written by hand rather than translated from programs; heads and neurons that are
    on no circuit are filled in; attention may be soft, so that gradients reach queries and keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from vitreous.data import ClassNames, Preprocessing
from vitreous.models import HookedViT, HookedViTConfig, PoolingConfig
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._tiles import COLORS, GRID, MOTIFS, SIDE, readers

Wires = str | Mapping[str, float]
"""A wire, or weights of several; `ALWAYS` is a constant of one."""

ALWAYS = "1"
N_HEADS, D_HEAD, D_MLP = 4, 16, 16
# Apart by this much, the softmax in double precision gives the lower of two scores exactly zero:
# the smallest number above zero is exp(-744.4).
SHARP = 1024.0

FEATURES: tuple[str, ...] = (
    *COLORS,
    *MOTIFS,
    *(f"row {row}" for row in range(GRID)),
    *(f"column {column}" for column in range(GRID)),
    "class",
)
"""What the embedding writes: color, motif and place of a patch, and which is the class token."""

_SPARE = tuple(f"spare {i}" for i in range(6))
_N_BYSTANDING_NEURONS = 4


class Look(NamedTuple):
    """A part of a head's scores: what two wires say, of the query and of the key, times `gain`."""

    query: Wires
    key: Wires
    gain: float


class Move(NamedTuple):
    """What a head reads where it looks, and what it writes of it where it stands."""

    read: Wires
    write: Wires
    gain: float = 1.0


class Head(NamedTuple):
    """A head; one that looks at nothing looks at all tokens alike."""

    looks: tuple[Look, ...] = ()
    moves: tuple[Move, ...] = ()


class Neuron(NamedTuple):
    """`write` times the positive part of `read`."""

    read: Wires
    write: Wires


IDLE = Head()


@dataclass(frozen=True)
class Plan:
    """What a model shall compute.

    Attributes:
        n_layers: Blocks.
        wires: Names of its own dimensions, beside `FEATURES`.
        heads: By name (`a0.h1`). Heads without an entry become bystanders.
        neurons: By name of the MLP (`m0`).
        outputs: What each label reads of the class token.
    """

    n_layers: int
    wires: tuple[str, ...]
    heads: Mapping[str, Head]
    neurons: Mapping[str, Sequence[Neuron]]
    outputs: Mapping[str, Wires] = field(default_factory=dict)


def compiled(name: str, plan: Plan) -> HookedViT:
    """The model, in float64 and evaluation mode."""
    names = (*FEATURES, *plan.wires, *_SPARE)
    model = HookedViT(
        HookedViTConfig(
            plan.n_layers, len(names), N_HEADS, D_HEAD, D_MLP,
            act_name="relu", norm=None, pooling=PoolingConfig("cls", norm=None),
            image_size=GRID * SIDE, patch_size=SIDE, n_classes=len(plan.outputs),
        ),
        labels=ClassNames(tuple(plan.outputs)),
        preprocessing=Preprocessing(
            (GRID * SIDE, GRID * SIDE), (0.0,) * 3, (1.0,) * 3, "nearest", crop_fraction=1.0
        ),
    )  # fmt: skip
    model = model.double().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.zero_()
    wires = _Wires(names)
    _embed(model, wires)
    for layer in range(plan.n_layers):
        for head in range(N_HEADS):
            said = plan.heads.get(f"a{layer}.h{head}")
            drawn = _bystander(Chance(name, "head", layer, head), names)
            _write_head(model, layer, head, drawn if said is None else said, wires)
        chance = Chance(name, "neurons", layer)
        drawn = [_bystanding(chance.part(str(i)), names) for i in range(_N_BYSTANDING_NEURONS)]
        _write_neurons(model, layer, [*plan.neurons.get(f"m{layer}", ()), *drawn], wires)
    _write_readout(model, plan.outputs, wires)
    return model.requires_grad_(True)


class _Wires:
    """Vectors of wires."""

    def __init__(self, names: Sequence[str]) -> None:
        self.place = {name: i for i, name in enumerate(names)}

    def vector(self, wires: Wires) -> tuple[Tensor, float]:
        """Weights on the stream, and the constant."""
        weights = dict.fromkeys([wires], 1.0) if isinstance(wires, str) else dict(wires)
        constant = weights.pop(ALWAYS, 0.0)
        vector = torch.zeros(len(self.place), dtype=torch.float64)
        for name, weight in weights.items():
            vector[self.place[name]] = weight
        return vector, constant


def _embed(model: HookedViT, wires: _Wires) -> None:
    patch, cls, pos = model.embedding.convolution(), model.embedding.cls_token, model.embedding.pos
    assert patch.bias is not None and cls is not None and pos is not None
    for name, (weights, constant) in readers().items():
        patch.weight[wires.place[name]] = torch.from_numpy(weights)
        patch.bias[wires.place[name]] = constant
    cls[..., wires.place["class"]] = 1
    patches = pos[1:].view(GRID, GRID, -1)
    for i in range(GRID):
        patches[i, :, wires.place[f"row {i}"]] = 1
        patches[:, i, wires.place[f"column {i}"]] = 1


def _write_head(model: HookedViT, layer: int, head: int, said: Head, wires: _Wires) -> None:
    attn = model.blocks[layer].attn
    for i, look in enumerate(said.looks):
        query, of_query = wires.vector(look.query)
        gain = look.gain / attn.attn_scale
        attn.W_Q[head, :, i], attn.b_Q[head, i] = query * gain, of_query * gain
        attn.W_K[head, :, i], attn.b_K[head, i] = wires.vector(look.key)
    for i, move in enumerate(said.moves):
        attn.W_V[head, :, i], attn.b_V[head, i] = wires.vector(move.read)
        attn.W_O[head, i] = wires.vector(move.write)[0] * move.gain


def _write_neurons(model: HookedViT, layer: int, said: Sequence[Neuron], wires: _Wires) -> None:
    mlp = model.blocks[layer].mlp
    assert mlp is not None
    for i, neuron in enumerate(said):
        mlp.W_in[:, i], mlp.b_in[i] = wires.vector(neuron.read)
        mlp.W_out[i] = wires.vector(neuron.write)[0]


def _write_readout(model: HookedViT, outputs: Mapping[str, Wires], wires: _Wires) -> None:
    linear = model.head.linear
    assert linear is not None
    for row, read in enumerate(outputs.values()):
        linear.weight[row], linear.bias[row] = wires.vector(read)


def _bystander(chance: Chance, names: tuple[str, ...]) -> Head:
    """A head that reads anything and writes where nobody on a circuit reads."""
    looks = [
        Look(
            chance.choice(f"query {i}", names),
            chance.choice(f"key {i}", COLORS + MOTIFS),
            chance.choice(f"gain {i}", (-2.0, 1.0, 2.0, 4.0)),
        )
        for i in range(2)
    ]
    read = [chance.choice("color", COLORS), chance.choice("motif", MOTIFS)]
    read += [chance.choice(f"read {i}", names) for i in range(2)]
    moves = [Move(each, *_spare(chance.part(str(i)))) for i, each in enumerate(read)]
    return Head(tuple(looks), tuple(moves))


def _bystanding(chance: Chance, names: tuple[str, ...]) -> Neuron:
    """The same as a neuron."""
    read = {chance.choice(f"read {i}", names): chance.choice(f"gain {i}", (-1, 1)) for i in "abc"}
    write, gain = _spare(chance)
    return Neuron(read | {ALWAYS: chance.choice("bias", (0.0, 0.5))}, {write: gain})


def _spare(chance: Chance) -> tuple[str, float]:
    return chance.choice("write", _SPARE), chance.choice("sign", (-1.0, 1.0))
