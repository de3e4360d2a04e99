"""The format of Prisma's first ViTs: fused weights, and mostly no norms at all."""

from typing import Any

from torch import Tensor

from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import Activation, AttentionConfig, NormConfig, PoolingConfig
from vitreous.models.adapters._parts import unsupported

_ACTIVATIONS: dict[str, Activation] = {"GELU": "gelu", "ReLU": "relu"}
_QK_EPS = 1e-5


def read_config(about: dict[str, Any], tensors: dict[str, Tensor]) -> HookedViTConfig:
    """What a nested configuration and the weights' shapes describe.

    Raises:
        UnsupportedModelError: A feature that `HookedViT` lacks.
    """
    transformer, image = about["transformer"], about["image"]
    norms = about.get("layernorm", {})
    if norms.get("layer_norm_eps", 0.0) > 0:
        raise unsupported(
            "A Prisma ViT of the first format must have no norms in its blocks; got "
            f"`layer_norm_eps={norms['layer_norm_eps']}`, norms behind the sums"
        )
    if not transformer.get("attn_hidden_layer", True):
        raise unsupported("Attention must have an output weight; got `attn_hidden_layer=False`")
    activation = transformer.get("activation_name", "GELU")
    if activation not in _ACTIVATIONS:
        raise unsupported(
            f"`activation_name` must be one of {', '.join(_ACTIVATIONS)}; got {activation!r}"
        )
    d_model, n_channels, *patch = tensors["patch_embedding.proj.weight"].shape
    attention_only = transformer.get("attention_only", False)
    return HookedViTConfig(
        n_layers=transformer["num_layers"],
        d_model=d_model,
        n_heads=transformer["num_heads"],
        d_mlp=None if attention_only else len(tensors["blocks.0.mlp.fc1.weight"]),
        act_name=_ACTIVATIONS[activation],
        image_size=image["image_size"],
        patch_size=(patch[0], patch[1]),
        n_channels=n_channels,
        n_classes=len(tensors["head.weight"]),
        cls_token="cls_token" in tensors,
        patch_bias=False,
        norm=None,
        attention=AttentionConfig(
            qkv_bias=False,
            qk_norm=NormConfig("layer", _QK_EPS) if norms.get("qknorm") else None,
        ),
        pooling=PoolingConfig("cls" if "cls_token" in tensors else "mean", None),
    )


_PLACES = {
    "cls_token": "embedding.cls_token",
    "position_embedding": "embedding.pos",
    "patch_embedding.proj.weight": "embedding.patch.weight",
    "head.weight": "head.linear.weight",
    "head.bias": "head.linear.bias",
}
_BLOCK_PLACES = {
    "attention.qkv.weight": "attn.qkv.weight",
    "attention.q_norm.weight": "attn.q_norm.w",
    "attention.q_norm.bias": "attn.q_norm.b",
    "attention.k_norm.weight": "attn.k_norm.w",
    "attention.k_norm.bias": "attn.k_norm.b",
    "attention.proj.weight": "attn.out.weight",
    "attention.proj.bias": "attn.out.bias",
    "mlp.fc1.weight": "mlp.fc_in.weight",
    "mlp.fc1.bias": "mlp.fc_in.bias",
    "mlp.fc2.weight": "mlp.fc_out.weight",
    "mlp.fc2.bias": "mlp.fc_out.bias",
}


def knows(name: str) -> bool:
    """Whether a weight of this format may have this name."""
    return _place(name) != name


def renamed(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A state dict under our names.

    Raises:
        KeyError: The positions are missing.
    """
    ours = {_place(name): tensor for name, tensor in tensors.items()}
    return ours | {"embedding.pos": ours["embedding.pos"][0]}


def _place(name: str) -> str:
    """Our name; one that nobody knows stays as it is, and loading says so."""
    if name.startswith("blocks."):
        _, layer, rest = name.split(".", 2)
        return f"blocks.{layer}.{_BLOCK_PLACES.get(rest, rest)}"
    return _PLACES.get(name, name)
