"""The MLP of a block."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.hooks import HookPoint
from vitreous.models._norms import make_norm, normalize
from vitreous.models._part_configs import NormConfig
from vitreous.models._read_only import no_bias, scaled


class MLP(nn.Module):
    """Linear maps around a nonlinearity; all hook points are `[batch tokens d_mlp]`.

    Plain: `hook_post` is the activation of `hook_pre`. With a gate, that activation is multiplied
    by a second linear map, `hook_pre_linear`, which gives `hook_mid`; a norm, where there is one,
    turns `hook_mid` into `hook_post`, and otherwise the two are equal.
    """

    def __init__(
        self,
        d_model: int,
        d_mlp: int,
        act_name: str = "gelu",
        *,
        bias: bool = True,
        gate: bool = False,
        in_norm: NormConfig | None = None,
        norm: NormConfig | None = None,
        layer_scale: bool = False,
        out_norm: NormConfig | None = None,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[act_name]
        self.in_norm = make_norm(d_model, in_norm)
        self.fc_in = nn.Linear(d_model, d_mlp, bias=bias)
        self.hook_pre = HookPoint()
        self.fc_linear = nn.Linear(d_model, d_mlp, bias=bias) if gate else None
        if gate:
            self.hook_pre_linear = HookPoint()
        self.has_mid = gate or norm is not None
        if self.has_mid:
            self.hook_mid = HookPoint()
        self.norm = make_norm(d_mlp, norm)
        self.hook_post = HookPoint()
        self.fc_out = nn.Linear(d_mlp, d_model, bias=bias)
        self.gain = nn.Parameter(torch.ones(d_model)) if layer_scale else None
        self.out_norm = make_norm(d_model, out_norm)

    def forward(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        x = normalize(self.in_norm, x)
        post = self.activation(self.hook_pre(self.fc_in(x)))
        if self.fc_linear is not None:
            post = post * self.hook_pre_linear(self.fc_linear(x))
        if self.has_mid:
            post = normalize(self.norm, self.hook_mid(post))
        return self.write(self.hook_post(post))

    def gated(
        self,
        pre: Float[Tensor, "batch tokens d_mlp"],
        linear: Float[Tensor, "batch tokens d_mlp"],
    ) -> Float[Tensor, "batch tokens d_mlp"]:
        return self.activation(pre) * linear

    def write(
        self, post: Float[Tensor, "batch tokens d_mlp"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What the MLP adds to the stream."""
        return normalize(self.out_norm, self.project_out(post))

    def project_out(
        self, post: Float[Tensor, "batch tokens d_mlp"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """The output weight, in front of the norm of the output."""
        return self._gained(self.fc_out(post))

    def neuron_directions(
        self,
        directions: Float[Tensor, "batch tokens d_model"],
        scale: Float[Tensor, "batch tokens 1"] | None,
    ) -> Float[Tensor, "batch tokens d_mlp"]:
        """What directions in the stream read of one unit of each neuron; `scale` as below."""
        if self.out_norm is not None:
            assert scale is not None
            directions = self.out_norm.transposed(directions, scale)
        return self._gained(directions) @ self.fc_out.weight

    def output_bias(
        self, scale: Float[Tensor, "batch tokens 1"] | None
    ) -> Float[Tensor, "*#batch d_model"]:
        """What the MLP adds that no neuron wrote; per token behind a norm, held at `scale`."""
        weight, bias = self.fc_out.weight, self.fc_out.bias
        bias = weight.new_zeros(len(weight)) if bias is None else self._gained(bias)
        if self.out_norm is None:
            return bias
        assert scale is not None
        return self.out_norm.divide(bias, scale)

    @property
    def W_in(self) -> Float[Tensor, "d_model d_mlp"]:
        """A live view: a column is what a neuron reads."""
        return self.fc_in.weight.T

    @property
    def W_out(self) -> Float[Tensor, "d_mlp d_model"]:
        """A row is what a neuron writes; a live view, or, for reading, times a LayerScale gain."""
        rows = self.fc_out.weight.T
        return rows if self.gain is None else scaled("mlp.W_out", rows * self.gain, "fc_out.weight")

    @property
    def b_in(self) -> Float[Tensor, " d_mlp"]:
        layer = self.fc_in
        if layer.bias is None:
            return no_bias("mlp.b_in", layer.weight, (layer.out_features,), "mlp_bias=True")
        return layer.bias

    @property
    def b_out(self) -> Float[Tensor, " d_model"]:
        layer, bias = self.fc_out, self.fc_out.bias
        if bias is None:
            return no_bias("mlp.b_out", layer.weight, (layer.out_features,), "mlp_bias=True")
        return bias if self.gain is None else scaled("mlp.b_out", bias * self.gain, "fc_out.bias")

    def _gained(self, written: Tensor) -> Tensor:
        return written if self.gain is None else written * self.gain


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _gelu_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


def _solu(x: Tensor) -> Tensor:
    """Elhage et al., "Softmax Linear Units", 2022; without the norm that follows it there."""
    return x * x.softmax(-1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "solu": _solu,
}
