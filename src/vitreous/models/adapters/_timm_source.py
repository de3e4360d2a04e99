"""Reading a timm model: part by part, each of a class that is known, each weight at most once.

Each part must be of a class whose forward pass is known here; whatever else there is gets a
refusal that says where, so that a model that converts computes what its source computes.
"""

from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vitreous._optional import needs
from vitreous.models._part_configs import NormConfig
from vitreous.models.adapters._parts import exactly, unsupported

Tensors = dict[str, Tensor]


class Piece(NamedTuple):
    """What was read: fields of a `HookedViTConfig`, and weights under names of ours."""

    fields: dict[str, Any]
    tensors: Tensors


class Part:
    """A part of a model: its module, where it stands, and what of the model nobody has read yet."""

    def __init__(self, module: Any, where: str = "", unread: dict[int, str] | None = None) -> None:
        self.module = module
        self.where = where
        weights = module.named_parameters() if unread is None else ()
        self.unread = {id(p): name for name, p in weights} if unread is None else unread

    def place(self, name: str) -> str:
        """Where something of this part stands, for messages."""
        return f"{self.where}.{name}" if self.where else name

    def has(self, name: str) -> bool:
        return getattr(self.module, name, None) is not None

    def child(self, name: str, *kinds: type) -> "Part":
        """A part of the part, if its class is one of `kinds`: a subclass may compute otherwise."""
        module = exactly(self.module.get_submodule(name), self.place(name), *kinds)
        return Part(module, self.place(name), self.unread)

    def is_a(self, *kinds: type) -> bool:
        return type(self.module) in kinds

    def tensor(self, name: str) -> Tensor | None:
        """A weight of the part's own, noted as read; None where it has none."""
        weight = getattr(self.module, name, None)
        if weight is None:
            return None
        self.unread.pop(id(weight), None)
        return weight.detach()

    def read_all(self) -> None:
        """Notes all weights as read: the part is kept as it is."""
        for parameter in self.module.parameters():
            self.unread.pop(id(parameter), None)

    def linear(self, name: str, ours: str) -> Tensors:
        """Weight and bias of a linear map, under the name of ours."""
        layer = self.child(name, nn.Linear)
        weights = {f"{ours}.{leaf}": layer.tensor(leaf) for leaf in ("weight", "bias")}
        return present(weights)

    def norm(self, name: str, ours: str) -> tuple[NormConfig | None, Tensors]:
        """A norm and its weights, under the name of ours; None where it does nothing."""
        kinds = _norm_kinds()
        part = self.child(name, *kinds, nn.Identity)
        if part.is_a(nn.Identity):
            return None, {}
        if part.module.eps is None:
            raise unsupported(f"A norm must have an eps of its own; got None at `{part.where}`")
        weights = {f"{ours}.w": part.tensor("weight"), f"{ours}.b": part.tensor("bias")}
        config = NormConfig(
            kinds[type(part.module)], part.module.eps, part.module.weight is not None
        )
        return config, present(weights)

    def gain(self, name: str) -> Tensor | None:
        """A LayerScale; None where there is none."""
        kind = timm_module("timm.models.vision_transformer").LayerScale
        return self.child(name, kind, nn.Identity).tensor("gamma")

    def activation(self, name: str) -> Any:
        """The name of a nonlinearity."""
        layers = timm_module("timm.layers")
        names = {
            nn.GELU: "gelu",
            layers.GELU: "gelu",
            layers.GELUTanh: "gelu_tanh",
            layers.QuickGELU: "quick_gelu",
            nn.ReLU: "relu",
            nn.SiLU: "silu",
            layers.Swish: "silu",
        }
        part = self.child(name, *names)
        tanh = part.is_a(nn.GELU) and part.module.approximate == "tanh"
        return "gelu_tanh" if tanh else names[type(part.module)]

    def inert(self, *names: str) -> None:
        """Checks that parts, where they are there, do nothing in evaluation mode."""
        layers = timm_module("timm.layers")
        kinds = (
            nn.Identity,
            nn.Dropout,
            layers.DropPath,
            layers.PatchDropout,
            layers.PatchDropoutWithIndices,
        )
        for name in names:
            if self.has(name):
                self.child(name, *kinds)


def present(tensors: dict[str, Tensor | None]) -> Tensors:
    """Without those that aren't there."""
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def folded(*factors: Tensor) -> Tensor:
    """The product of weights, formed in float64."""
    product = factors[0].double()
    for factor in factors[1:]:
        product = product * factor.double()
    return product.to(factors[0].dtype)


def on_meta(module: nn.Module) -> bool:
    """Whether the module has no numbers, but shapes alone."""
    return any(p.device == torch.device("meta") for p in module.parameters())


def timm_module(module: str) -> ModuleType:
    return needs(module, extra="timm", feature='load("timm:...")')


def _norm_kinds() -> dict[type, Any]:
    layers = timm_module("timm.layers")
    return {
        nn.LayerNorm: "layer",
        layers.LayerNorm: "layer",
        nn.RMSNorm: "rms",
        layers.RmsNorm: "rms",
    }
