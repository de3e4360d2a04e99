"""The MLP of a block."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vitreous.hooks import HookPoint
from vitreous.models._config import HookedViTConfig
from vitreous.models._read_only import no_bias, scaled


class MLP(nn.Module):
    """Two linear maps around a nonlinearity; `hook_pre|post` are `[batch tokens d_mlp]`."""

    def __init__(self, config: HookedViTConfig) -> None:
        super().__init__()
        assert config.d_mlp is not None
        self.activation = ACTIVATIONS[config.act_name]
        self.fc_in = nn.Linear(config.d_model, config.d_mlp, bias=config.mlp_bias)
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()
        self.fc_out = nn.Linear(config.d_mlp, config.d_model, bias=config.mlp_bias)
        self.gain = nn.Parameter(torch.ones(config.d_model)) if config.layer_scale else None

    def forward(
        self, x: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        pre = self.hook_pre(self.fc_in(x))
        return self.write(self.hook_post(self.activation(pre)))

    def write(
        self, post: Float[Tensor, "batch tokens d_mlp"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What the MLP adds to the stream."""
        return self._gained(self.fc_out(post))

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
