"""The format of Prisma's own `HookedViT`, whose weights are per head and column-wise."""

from typing import Any

import torch
from torch import Tensor

from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import Activation, NormConfig, PoolingConfig
from vitreous.models.adapters._parts import unsupported

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "solu_ln": "solu",
}
_REFUSED = {
    "use_bert_block": "norms behind the sums (`use_bert_block`)",
    "is_video_transformer": "video (`is_video_transformer`)",
}
_DEFAULTS: dict[str, Any] = {
    "n_heads": 4,
    "activation_name": "gelu",
    "eps": 1e-6,
    "use_cls_token": True,
    "use_attn_scale": True,
    "normalization_type": "LN",
    "layer_norm_pre": False,
    "attn_only": False,
    "classification_type": "cls",
    "return_type": "pre_logits",
    "n_channels": 3,
    "patch_size": 32,
    "image_size": 224,
    "n_classes": 10,
}


def read_config(about: dict[str, Any], tensors: dict[str, Tensor]) -> HookedViTConfig:
    """What a `HookedViTConfig` of Prisma's describes; fields that nothing reads there are ignored.

    Raises:
        UnsupportedModelError: A feature that our `HookedViT` lacks.
    """
    known = _DEFAULTS | about
    for field, feature in _REFUSED.items():
        if known.get(field):
            raise unsupported(f"A Prisma ViT must have blocks that `HookedViT` has; got {feature}")
    if not known["use_attn_scale"]:
        raise unsupported("Scores must be divided by the root of `d_head`; got none that are")
    if known["classification_type"] == "cls" and not known["use_cls_token"]:
        raise unsupported("A class token must be there to be read; got `use_cls_token=False`")
    norm = _norm(known)
    activation = known["activation_name"]
    behind_solu = NormConfig("layer", known["eps"], known["normalization_type"] == "LN")
    return HookedViTConfig(
        n_layers=known["n_layers"],
        d_model=known["d_model"],
        n_heads=known["n_heads"],
        d_head=known["d_head"],
        d_mlp=None if known["attn_only"] else known["d_mlp"],
        act_name=_one_of("activation_name", activation, _ACTIVATIONS),
        image_size=known["image_size"],
        patch_size=known["patch_size"],
        n_channels=known["n_channels"],
        n_classes=None if known["return_type"] == "pre_logits" else known["n_classes"],
        cls_token=known["use_cls_token"],
        ln_pre=norm if known["layer_norm_pre"] else None,
        norm=norm,
        mlp_norm=behind_solu if activation == "solu_ln" else None,
        pooling=PoolingConfig(
            _one_of("classification_type", known["classification_type"], _POOLINGS),
            norm,
            counts_prefix=True,
        ),
    )


_POOLINGS: dict[str, Any] = {"cls": "cls", "gaap": "mean"}


def _norm(known: dict[str, Any]) -> NormConfig | None:
    kind = known["normalization_type"]
    if kind is None:
        return None
    affine = _one_of("normalization_type", kind, {"LN": True, "LNPre": False})
    return NormConfig("layer", known["eps"], affine)


def _one_of(field: str, value: Any, kinds: dict[str, Any]) -> Any:
    if value not in kinds:
        raise unsupported(f"`{field}` must be one of {', '.join(kinds)}; got {value!r}")
    return kinds[value]


_PLACES = {
    "cls_token": "embedding.cls_token",
    "embed.proj.weight": "embedding.patch.weight",
    "embed.proj.bias": "embedding.patch.bias",
    "pos_embed.W_pos": "embedding.pos",
    "ln_pre.w": "ln_pre.w",
    "ln_pre.b": "ln_pre.b",
    "ln_final.w": "ln_final.w",
    "ln_final.b": "ln_final.b",
}
_BLOCK_PLACES = {
    "ln1.w": "ln1.w",
    "ln1.b": "ln1.b",
    "ln2.w": "ln2.w",
    "ln2.b": "ln2.b",
    "attn.b_O": "attn.out.bias",
    "mlp.b_in": "mlp.fc_in.bias",
    "mlp.b_out": "mlp.fc_out.bias",
    "mlp.ln.w": "mlp.norm.w",
    "mlp.ln.b": "mlp.norm.b",
}


def knows(name: str) -> bool:
    """Whether a weight of this format may have this name."""
    others = ("mlp.W_in", "mlp.W_out", *(f"attn.{each}" for each in _PER_HEAD))
    return _place(name) != name or name.startswith("head.") or name.endswith(others)


def renamed(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A state dict of Prisma's under our names.

    Raises:
        KeyError: A weight of a head or of an MLP is missing.
    """
    rest = dict(tensors)
    ours = {}
    for layer in range(cfg.n_layers):
        at = f"blocks.{layer}."
        per_head = {name: rest.pop(f"{at}attn.{name}") for name in _PER_HEAD}
        ours |= {f"{at}attn.{name}": x for name, x in _attention(per_head).items()}
        if not cfg.attn_only:
            ours[f"{at}mlp.fc_in.weight"] = rest.pop(f"{at}mlp.W_in").T
            ours[f"{at}mlp.fc_out.weight"] = rest.pop(f"{at}mlp.W_out").T
    head = {"weight": rest.pop("head.W_H").T, "bias": rest.pop("head.b_H")}
    if cfg.n_classes is not None:
        ours |= {f"head.linear.{name}": tensor for name, tensor in head.items()}
    if not cfg.cls_token:
        rest.pop("cls_token", None)
    return ours | {_place(name): tensor for name, tensor in rest.items()}


_PER_HEAD = ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V", "W_O")


def _attention(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Per head `[heads, d_model, d_head]` to one fused weight."""
    return {
        "qkv.weight": torch.cat([parts[f"W_{x}"].transpose(1, 2).flatten(0, 1) for x in "QKV"]),
        "qkv.bias": torch.cat([parts[f"b_{x}"].flatten() for x in "QKV"]),
        "out.weight": parts["W_O"].flatten(0, 1).T,
    }


def _place(name: str) -> str:
    """Our name; one that nobody knows stays as it is, and loading says so."""
    if name.startswith("blocks."):
        _, layer, rest = name.split(".", 2)
        return f"blocks.{layer}.{_BLOCK_PLACES.get(rest, rest)}"
    return _PLACES.get(name, name)
