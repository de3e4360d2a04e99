"""What an image tower of open_clip is made of, read off the module and never off its name."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from vitreous._optional import needs
from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import (
    Activation,
    AttentionConfig,
    MapConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
    ResampleConfig,
)
from vitreous.models.adapters._parts import (
    all_alike,
    check_untouched,
    exactly,
    multihead_fields,
    patch_fields,
    unsupported,
)


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
        ln_pre=_norm(module.ln_pre, "ln_pre", nn.Identity),
        pooling=_pooling(module),
        position=PositionConfig(resample=ResampleConfig(always=False)),
        **patch_fields(module.conv1, "conv1", tuple(module.image_size)),
        **_blocks_fields(module.transformer),
    )


def _pooling(module: Any) -> PoolingConfig:
    norm = _norm(module.ln_post, "ln_post")
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
    norm = _norm(pooler.ln_k, "attn_pool.ln_k")
    if _norm(pooler.ln_q, "attn_pool.ln_q") != norm:
        raise unsupported("Queries and keys must have like norms; got two kinds in `attn_pool`")
    return PoolingConfig("map", norm, counts_prefix=True, map=pooling)


def _blocks_fields(transformer: Any) -> dict[str, Any]:
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
    norm = _norm(block.ln_1, f"{where}.ln_1")
    if _norm(block.ln_2, f"{where}.ln_2") != norm:
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
        "mlp_norm": None if inner is None else _norm(inner, f"{where}.mlp.ln", nn.Identity),
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
    norms = [_norm(getattr(attn, n), f"{where}.attn.{n}", nn.Identity) for n in ("ln_q", "ln_k")]
    if norms[0] != norms[1]:
        raise unsupported(f"Queries and keys must have like norms; got two kinds in `{where}`")
    return {
        "n_heads": attn.num_heads,
        "d_head": attn.head_dim,
        "attention": AttentionConfig(
            attn.in_proj_bias is not None,
            attn.out_proj.bias is not None,
            norms[0],
            z_norm=_norm(attn.ln_inner, f"{where}.attn.ln_inner", nn.Identity),
        ),
    }


def _norm(part: Any, where: str, *others: type) -> NormConfig | None:
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

_PLACES = {
    "class_embedding": "embedding.cls_token",
    "positional_embedding": "embedding.pos",
    "conv1.weight": "embedding.patch.weight",
    "conv1.bias": "embedding.patch.bias",
    "ln_pre.weight": "ln_pre.w",
    "ln_pre.bias": "ln_pre.b",
    "proj": "head.linear.weight",
}
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
    for layer in range(cfg.n_layers):
        scale = tensors.pop(f"blocks.{layer}.attn.head_scale", None)
        if scale is not None:
            _scale_values(tensors, f"blocks.{layer}.attn.qkv.", scale, cfg.head_width)
    return tensors


def _place(name: str, post: str) -> str:
    """Our name of a weight; the last norm is called `post`."""
    if name.startswith(_BLOCK):
        layer, _, rest = name.removeprefix(_BLOCK).partition(".")
        return f"blocks.{layer}.{_BLOCK_PLACES[rest]}" if rest in _BLOCK_PLACES else name
    places = _PLACES | {"ln_post.weight": f"{post}.w", "ln_post.bias": f"{post}.b"}
    return places.get(name, name)


def _scale_values(tensors: dict[str, Tensor], qkv: str, scale: Tensor, d_head: int) -> None:
    """Heads that are scaled behind the pattern are heads whose values are scaled."""
    scale = scale.detach().double().flatten().repeat_interleave(d_head)
    for name in (f"{qkv}weight", f"{qkv}bias"):
        if name in tensors:
            query, key, value = tensors[name].chunk(3)
            scaled = value.double() * (scale[:, None] if value.ndim == 2 else scale)
            tensors[name] = torch.cat([query, key, scaled.to(value)])


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
