"""timm's names of weights, for a state dict without its model."""

import re

import torch
from torch import Tensor
from torch.nn import functional

from vitreous._errors import WeightsError
from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import MapConfig
from vitreous.models.adapters._parts import fuse_qkv

_PLACES = {
    "cls_token": "embedding.cls_token",
    "dist_token": "embedding.distillation_token",
    "reg_token": "embedding.registers",
    "pos_embed": "embedding.pos",
    "patch_embed.proj": "embedding.patch",
    "patch_embed.norm": "embedding.patch_norm",
    "norm_pre": "ln_pre",
    "norm": "ln_final",
    "fc_norm": "ln_final",
    "rel_pos_bias.relative_position_bias_table": "shared_table",
    "attn_pool.latent": "latent",
    "attn_pool.q": "latent.q",
    "attn_pool.q_norm": "latent.norm",
    "attn_pool.kv": "pooling.map.kv",
    "attn_pool.k_norm": "pooling.map.k_norm",
    "attn_pool.proj": "pooling.map.out",
    "attn_pool.norm": "pooling.map.norm",
    "attn_pool.mlp.fc1": "pooling.map.mlp.fc_in",
    "attn_pool.mlp.fc2": "pooling.map.mlp.fc_out",
    "head": "head.linear",
    "head_dist": "head.distillation",
}
_BLOCK_PLACES = {
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.qkv": "attn.qkv",
    "attn.q_proj": "attn.q",
    "attn.k_proj": "attn.k",
    "attn.v_proj": "attn.v",
    "attn.q_bias": "attn.q.bias",
    "attn.v_bias": "attn.v.bias",
    "attn.q_norm": "attn.q_norm",
    "attn.k_norm": "attn.k_norm",
    "attn.norm": "attn.z_norm",
    "attn.proj": "attn.out",
    "attn.relative_position_bias_table": "attn.relative_bias.table",
    "ls1.gamma": "attn.gain",
    "gamma_1": "attn.gain",
    "ls2.gamma": "mlp.gain",
    "gamma_2": "mlp.gain",
    "mlp.fc1": "mlp.fc_in",
    "mlp.fc1_g": "mlp.fc_in",
    "mlp.fc1_x": "mlp.fc_linear",
    "mlp.w0": "mlp.fc_in",
    "mlp.w1": "mlp.fc_linear",
    "mlp.w2": "mlp.fc_out",
    "mlp.norm": "mlp.norm",
    "mlp.fc2": "mlp.fc_out",
}
_BLOCK = re.compile(r"^blocks\.(\d+)\.(.+)$")


def knows(name: str) -> bool:
    """Whether a weight of one of timm's transformers may have this name."""
    return _place(name) is not None


def renamed(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A state dict of timm's under our names; one that nobody knows keeps its own.

    Rotary tables are no weights of timm's, and which half of a gated MLP in one piece is the gate
    isn't in its weights: for such models, timm's name is needed instead of a configuration.

    Raises:
        KeyError: A weight of a pooling by attention is missing.
        WeightsError: A gated MLP is in one piece.
    """
    ours = {_place(name) or name: tensor for name, tensor in tensors.items()}
    _refuse_packed_gate(ours, cfg)
    ours.pop(_UNREAD, None)
    if "embedding.pos" in ours:
        ours["embedding.pos"] = ours["embedding.pos"].flatten(0, -2)
    shared = ours.pop("shared_table", None)
    for layer in range(cfg.n_layers):
        at = f"blocks.{layer}."
        _join_qkv(ours, f"{at}attn.")
        if shared is not None:
            table = f"{at}attn.relative_bias.table"
            ours[table] = shared + ours[table] if table in ours else shared
        if cfg.out_norm is not None:  # timm gives both kinds of block the same names
            for here, there in (("ln1", "attn.out_norm"), ("ln2", "mlp.out_norm")):
                for leaf in ("w", "b"):
                    if f"{at}{here}.{leaf}" in ours:
                        ours[f"{at}{there}.{leaf}"] = ours.pop(f"{at}{here}.{leaf}")
    if cfg.pooling.map is not None:
        _join_query(ours, cfg.pooling.map)
    return ours


# Where the source keeps tables that follow from its grid.
_UNREAD = "indices of relative positions"


def _place(name: str) -> str | None:
    """Our name of a weight, or what it is put together from; None where nobody knows it."""
    match = _BLOCK.match(name)
    at, places = "", _PLACES
    if match is not None:
        at, name, places = f"blocks.{match[1]}.", match[2], _BLOCK_PLACES
    if name.endswith("relative_position_index"):
        return _UNREAD
    if name in places:
        return at + places[name]
    part, _, leaf = name.rpartition(".")
    if part not in places or leaf not in ("weight", "bias"):
        return None
    place = places[part]
    is_norm = place.startswith("ln") or place.endswith("norm")
    return f"{at}{place}.{leaf[0] if is_norm else leaf}"


def _refuse_packed_gate(ours: dict[str, Tensor], cfg: HookedViTConfig) -> None:
    both = ours.get("blocks.0.mlp.fc_in.weight")
    if cfg.mlp_gate and cfg.d_mlp and both is not None and len(both) == 2 * cfg.d_mlp:
        raise WeightsError(
            "A gated MLP must have two weights, since nothing says which half of one is the gate; "
            'got `blocks.0.mlp.fc1.weight` alone. Pass `"timm:NAME"` as `cfg`.'
        )


def _join_qkv(ours: dict[str, Tensor], at: str) -> None:
    """Queries, keys and values from three weights, or biases from two, as the keys have none."""
    fuse_qkv(ours, at)
    if f"{at}q.bias" in ours and f"{at}qkv.weight" in ours:
        q, v = ours.pop(f"{at}q.bias"), ours.pop(f"{at}v.bias")
        ours[f"{at}qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])


def _join_query(ours: dict[str, Tensor], parts: MapConfig) -> None:
    """The latent as it meets the keys: projected and normalized, in float64."""
    latent = ours.pop("latent")
    query = latent[0, 0].double()
    weight, bias = ours.pop("latent.q.weight", None), ours.pop("latent.q.bias", None)
    query = query if weight is None else weight.double() @ query
    query = query if bias is None else query + bias.double()
    query = query.unflatten(0, (parts.n_heads, parts.d_head))
    gain, shift = ours.pop("latent.norm.w", None), ours.pop("latent.norm.b", None)
    if parts.k_norm is not None:
        gain, shift = (None if x is None else x.double() for x in (gain, shift))
        width, eps = (parts.d_head,), parts.k_norm.eps
        if parts.k_norm.kind == "rms":
            query = functional.rms_norm(query, width, gain, eps)
        else:
            query = functional.layer_norm(query, width, gain, shift, eps)
    ours["pooling.map.query"] = query.to(latent.dtype)
