"""What an image tower of open_clip is made of, read off the module and never off its name."""

from typing import Any

import torch
from torch import Tensor, nn

from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import (
    MapConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    ResampleConfig,
)
from vitreous.models.adapters._open_clip_blocks import (
    block_weights,
    blocks_fields,
    norm_of,
    parts,
)
from vitreous.models.adapters._parts import check_untouched, exactly, patch_fields, unsupported


def read_config(module: Any) -> HookedViTConfig:
    """What open_clip's own `VisionTransformer` is made of; it may lie on the meta device.

    Raises:
        UnsupportedModelError: A part that `HookedViT` lacks.
    """
    check_untouched(module, "_embeds", "_pool", "_global_pool")
    exactly(module.patch_dropout, "patch_dropout", nn.Identity, parts().PatchDropout)
    return HookedViTConfig(
        d_model=module.conv1.out_channels,
        n_layers=len(module.transformer.resblocks),
        n_classes=None if module.proj is None else module.proj.shape[1],
        head_bias=False,
        ln_pre=norm_of(module.ln_pre, "ln_pre", nn.Identity),
        pooling=_pooling(module),
        position=PositionConfig(resample=ResampleConfig(always=False)),
        **patch_fields(module.conv1, "conv1", tuple(module.image_size)),
        **blocks_fields(module.transformer),
    )


def _pooling(module: Any) -> PoolingConfig:
    norm = norm_of(module.ln_post, "ln_post")
    if module.attn_pool is not None:
        return _attention_pooling(module, norm)
    kinds: dict[str, Any] = {"tok": "cls", "avg": "mean", "none": "none"}
    return PoolingConfig(kinds[module.pool_type], norm, not module.final_ln_after_pool)


def _attention_pooling(module: Any, behind: NormConfig | None) -> PoolingConfig:
    """CoCa's: many queries read the tokens, and the first of them is what comes out."""
    if module.attn_pool_contrastive is not None:
        raise unsupported(
            "Attention pooling must be one layer; got a second one at `attn_pool_contrastive`"
        )
    if module.pool_type != "tok":
        raise unsupported(
            "Of the queries of attention pooling, the first must be read; got "
            f"`pool_type={module.pool_type!r}`"
        )
    pooler = exactly(module.attn_pool, "attn_pool", parts().AttentionalPooler)
    attn = exactly(pooler.attn, "attn_pool.attn", nn.MultiheadAttention)
    if attn.bias_k is not None or attn.add_zero_attn or not attn.batch_first:
        raise unsupported("`attn_pool.attn` must attend to the image's own tokens alone")
    pooling = MapConfig(
        attn.num_heads,
        attn.head_dim,
        attn.embed_dim,
        kv_bias=attn.in_proj_bias is not None,
        out_bias=attn.out_proj.bias is not None,
        out_norm=behind,
    )
    norm = norm_of(pooler.ln_k, "attn_pool.ln_k")
    return PoolingConfig("map", norm, counts_prefix=True, map=pooling)


# ---- weights

_PLACES = {
    "class_embedding": "embedding.cls_token",
    "positional_embedding": "embedding.pos",
    "conv1.weight": "embedding.patch.weight",
    "conv1.bias": "embedding.patch.bias",
    "ln_pre.weight": "ln_pre.w",
    "ln_pre.bias": "ln_pre.b",
    "proj": "head.linear.weight",
}
_ELSEWHERE = ("attn_pool.", "transformer.")


def weights(module: Any) -> dict[str, Tensor]:
    """The module's weights under our names."""
    attends = module.attn_pool is not None
    post = "pooling.map.out_norm" if attends else "ln_final"
    places = _PLACES | {"ln_post.weight": f"{post}.w", "ln_post.bias": f"{post}.b"}
    tensors = block_weights(module.transformer)
    if attends:
        tensors |= _pooler_weights(module.attn_pool)
    for name, tensor in module.state_dict().items():
        if name in places:
            tensors[places[name]] = tensor
        elif not name.startswith(_ELSEWHERE):
            raise unsupported(f"Each weight must be one that `HookedViT` has; got `{name}`")
    tensors["embedding.cls_token"] = tensors["embedding.cls_token"][None, None]
    if "head.linear.weight" in tensors:
        tensors["head.linear.weight"] = tensors["head.linear.weight"].T
    return tensors


def _pooler_weights(pooler: Any) -> dict[str, Tensor]:
    """The first query of a pooler, projected and normed as it meets the keys."""
    attn, width = pooler.attn, pooler.attn.embed_dim
    if attn.in_proj_weight is not None:
        W_q, *W_kv = attn.in_proj_weight.detach().chunk(3)
    else:  # the tokens are of another width than what is pooled
        W_q, *W_kv = (getattr(attn, f"{letter}_proj_weight").detach() for letter in "qkv")
    query = _normed_first_query(pooler)
    q = W_q.double() @ query
    tensors = {"pooling.map.kv.weight": torch.cat(list(W_kv))}
    if attn.in_proj_bias is not None:
        bias = attn.in_proj_bias.detach()
        q = q + bias[:width].double()
        tensors["pooling.map.kv.bias"] = bias[width:]
    tensors["pooling.map.query"] = q.to(W_q).unflatten(0, (attn.num_heads, attn.head_dim))
    norms = pooler.ln_k.state_dict().items()
    tensors |= {f"ln_final.{ {'weight': 'w', 'bias': 'b'}[name] }": v for name, v in norms}
    outs = attn.out_proj.state_dict().items()
    return tensors | {f"pooling.map.out.{name}": tensor for name, tensor in outs}


def _normed_first_query(pooler: Any) -> Tensor:
    norm = pooler.ln_q
    weight, bias = (None if p is None else p.detach().double() for p in (norm.weight, norm.bias))
    query = pooler.query.detach()[0].double()
    return nn.functional.layer_norm(query, norm.normalized_shape, weight, bias, norm.eps)
