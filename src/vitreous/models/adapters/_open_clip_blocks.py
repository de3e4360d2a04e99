"""The blocks that image and text towers of open_clip share, and their weights."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._optional import needs
from vitreous.models._config import TransformerConfig
from vitreous.models._part_configs import Activation, AttentionConfig, NormConfig
from vitreous.models.adapters._parts import all_alike, exactly, multihead_fields, unsupported


def blocks_fields(transformer: Any) -> dict[str, Any]:
    """The fields of a configuration that say what all blocks are made of."""
    exactly(transformer, "transformer", parts().Transformer)

    def read(block: Any, where: str) -> dict[str, Any]:
        if isinstance(block, parts().CustomResidualAttentionBlock):
            attention = _custom_attention_fields(block, where)
        else:
            exactly(block, where, parts().ResidualAttentionBlock)
            attention = multihead_fields(block.attn, f"{where}.attn")
            if block.attn.batch_first != transformer.batch_first:
                raise unsupported(
                    f"Attention must run along the tokens; got `{where}.attn.batch_first="
                    f"{block.attn.batch_first}` in a transformer with the images "
                    f"{'first' if transformer.batch_first else 'second'}"
                )
        return attention | _block_fields(block, where)

    return all_alike(transformer.resblocks, "transformer.resblocks", read)


def _block_fields(block: Any, where: str) -> dict[str, Any]:
    norm = norm_of(block.ln_1, f"{where}.ln_1")
    if norm_of(block.ln_2, f"{where}.ln_2") != norm:
        raise unsupported(f"Both norms of a block must be alike; got two kinds in `{where}`")
    gains = [
        type(exactly(getattr(block, name), f"{where}.{name}", parts().LayerScale, nn.Identity))
        for name in ("ls_1", "ls_2")
    ]
    inner = getattr(block.mlp, "ln", None)
    return {
        "norm": norm,
        "layer_scale": parts().LayerScale in gains,
        "d_mlp": exactly(block.mlp.c_fc, f"{where}.mlp.c_fc", nn.Linear).out_features,
        "act_name": _activation(block.mlp.gelu, f"{where}.mlp.gelu"),
        "mlp_norm": None if inner is None else norm_of(inner, f"{where}.mlp.ln", nn.Identity),
    }


def _custom_attention_fields(block: Any, where: str) -> dict[str, Any]:
    exactly(block, where, parts().CustomResidualAttentionBlock)
    attn = exactly(block.attn, f"{where}.attn", parts().Attention)
    if attn.logit_scale is not None:
        raise unsupported(f"`{where}.attn` must have plain scores; got scaled cosine attention")
    if type(block.ln_attn) is not nn.Identity:
        raise unsupported(
            f"Attention's output must go to the stream as it is; got a norm at `{where}.ln_attn` "
            "that the MLP lacks"
        )
    norms = [norm_of(getattr(attn, n), f"{where}.attn.{n}", nn.Identity) for n in ("ln_q", "ln_k")]
    if norms[0] != norms[1]:
        raise unsupported(f"Queries and keys must have like norms; got two kinds in `{where}`")
    return {
        "n_heads": attn.num_heads,
        "d_head": attn.head_dim,
        "attention": AttentionConfig(
            attn.in_proj_bias is not None,
            attn.out_proj.bias is not None,
            norms[0],
            z_norm=norm_of(attn.ln_inner, f"{where}.attn.ln_inner", nn.Identity),
        ),
    }


def norm_of(part: Any, where: str, *others: type) -> NormConfig | None:
    """The part as a norm; None where it is of one of the other classes."""
    kinds = (parts().LayerNorm, parts().LayerNormFp32)
    exactly(part, where, *kinds, *others)
    if type(part) not in kinds:
        return None
    return NormConfig("layer", part.eps, part.weight is not None)


def _activation(part: Any, where: str) -> Activation:
    exactly(part, where, nn.GELU, parts().QuickGELU)
    if type(part) is not nn.GELU:
        return "quick_gelu"
    return "gelu_tanh" if part.approximate == "tanh" else "gelu"


def parts() -> ModuleType:
    """Where open_clip defines what its towers are made of."""
    return needs("open_clip.transformer", extra="clip", feature='load("open_clip:...")')


# ---- weights

_BLOCK_PLACES = {
    "ln_1.weight": "ln1.w",
    "ln_1.bias": "ln1.b",
    "attn.in_proj_weight": "attn.qkv.weight",
    "attn.in_proj_bias": "attn.qkv.bias",
    "attn.ln_q.weight": "attn.q_norm.w",
    "attn.ln_q.bias": "attn.q_norm.b",
    "attn.ln_k.weight": "attn.k_norm.w",
    "attn.ln_k.bias": "attn.k_norm.b",
    "attn.ln_inner.weight": "attn.z_norm.w",
    "attn.ln_inner.bias": "attn.z_norm.b",
    "attn.head_scale": "attn.head_scale",  # goes into the values
    "attn.out_proj.weight": "attn.out.weight",
    "attn.out_proj.bias": "attn.out.bias",
    "ls_1.gamma": "attn.gain",
    "ln_2.weight": "ln2.w",
    "ln_2.bias": "ln2.b",
    "mlp.c_fc.weight": "mlp.fc_in.weight",
    "mlp.c_fc.bias": "mlp.fc_in.bias",
    "mlp.ln.weight": "mlp.norm.w",
    "mlp.ln.bias": "mlp.norm.b",
    "mlp.c_proj.weight": "mlp.fc_out.weight",
    "mlp.c_proj.bias": "mlp.fc_out.bias",
    "ls_2.gamma": "mlp.gain",
}
_BLOCK = "transformer.resblocks."


def block_place(name: str) -> str:
    """Our name of a weight of a block; another weight keeps its own."""
    layer, _, rest = name.removeprefix(_BLOCK).partition(".")
    is_known = name.startswith(_BLOCK) and rest in _BLOCK_PLACES
    return f"blocks.{layer}.{_BLOCK_PLACES[rest]}" if is_known else name


def scale_heads(tensors: dict[str, Tensor], cfg: TransformerConfig) -> None:
    """Heads that are scaled behind the pattern are heads whose values are scaled."""
    for layer in range(cfg.n_layers):
        scale = tensors.pop(f"blocks.{layer}.attn.head_scale", None)
        if scale is not None:
            _scale_values(tensors, f"blocks.{layer}.attn.qkv.", scale, cfg.head_width)


def _scale_values(tensors: dict[str, Tensor], qkv: str, scale: Tensor, d_head: int) -> None:
    scale = scale.detach().double().flatten().repeat_interleave(d_head)
    for name in (f"{qkv}weight", f"{qkv}bias"):
        if name in tensors:
            query, key, value = tensors[name].chunk(3)
            scaled = value.double() * (scale[:, None] if value.ndim == 2 else scale)
            tensors[name] = torch.cat([query, key, scaled.to(value)])
