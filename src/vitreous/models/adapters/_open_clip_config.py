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
    block_place,
    blocks_fields,
    norm_of,
    parts,
    scale_heads,
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


def weights(module: Any, cfg: HookedViTConfig) -> dict[str, Tensor]:
    """The module's weights under our names."""
    state = module.state_dict()
    tensors = renamed(state, cfg)
    unknown = next((name for name in tensors if name in state), None)
    if unknown is not None:
        raise unsupported(f"Each weight must be one that `HookedViT` has; got `{unknown}`")
    return tensors


def knows(name: str) -> bool:
    """Whether a weight of an image tower may have this name, in a whole model or alone."""
    name = name.removeprefix("visual.")
    return name.startswith(("attn_pool.", "ln_post.")) or _place(name, "") != name


def renamed(state: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """An image tower's state dict under our names; one that nobody knows keeps its own.

    Of a whole model the image tower is taken.

    Raises:
        KeyError: A weight of a pooling by attention is missing.
    """
    visual = {k.removeprefix("visual."): x for k, x in state.items() if k.startswith("visual.")}
    state = visual or state
    attends = cfg.pooling.map is not None
    post = "pooling.map.out_norm" if attends else "ln_final"
    tensors = {
        _place(name, post): tensor
        for name, tensor in state.items()
        if not (attends and name.startswith("attn_pool."))
    }
    if attends:
        tensors |= _pooler_weights(state, cfg)
    if "embedding.cls_token" in tensors:
        tensors["embedding.cls_token"] = tensors["embedding.cls_token"].flatten()[None, None]
    if "head.linear.weight" in tensors:
        tensors["head.linear.weight"] = tensors["head.linear.weight"].T
    scale_heads(tensors, cfg)
    return tensors


def _place(name: str, post: str) -> str:
    """Our name of a weight; the last norm is called `post`."""
    places = _PLACES | {"ln_post.weight": f"{post}.w", "ln_post.bias": f"{post}.b"}
    return places.get(name) or block_place(name)


def _pooler_weights(state: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """The first query of a pooler, projected and normed as it meets the keys."""
    parts = cfg.pooling.map
    assert parts is not None
    if "attn_pool.attn.in_proj_weight" in state:
        W_q, *W_kv = state["attn_pool.attn.in_proj_weight"].detach().chunk(3)
    else:  # the tokens are of another width than what is pooled
        W_q, *W_kv = (state[f"attn_pool.attn.{each}_proj_weight"].detach() for each in "qkv")
    q = W_q.double() @ _normed_first_query(state, cfg)
    tensors = {"pooling.map.kv.weight": torch.cat(list(W_kv))}
    if "attn_pool.attn.in_proj_bias" in state:
        bias = state["attn_pool.attn.in_proj_bias"].detach()
        q = q + bias[: len(q)].double()
        tensors["pooling.map.kv.bias"] = bias[len(q) :]
    tensors["pooling.map.query"] = q.to(W_q).unflatten(0, (parts.n_heads, parts.d_head))
    for name, ours in (
        ("ln_k.weight", "ln_final.w"),
        ("ln_k.bias", "ln_final.b"),
        ("attn.out_proj.weight", "pooling.map.out.weight"),
        ("attn.out_proj.bias", "pooling.map.out.bias"),
    ):
        if f"attn_pool.{name}" in state:
            tensors[ours] = state[f"attn_pool.{name}"]
    return tensors


def _normed_first_query(state: dict[str, Tensor], cfg: HookedViTConfig) -> Tensor:
    norm, query = cfg.pooling.norm, state["attn_pool.query"].detach()[0].double()
    if norm is None:
        return query
    weight, bias = (state.get(f"attn_pool.ln_q.{leaf}") for leaf in ("weight", "bias"))
    return nn.functional.layer_norm(
        query,
        query.shape,
        None if weight is None else weight.detach().double(),
        None if bias is None else bias.detach().double(),
        norm.eps,
    )
