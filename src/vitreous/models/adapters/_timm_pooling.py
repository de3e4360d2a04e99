"""From the last block of timm's transformers to logits, in our terms."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from vitreous.models._part_configs import MapConfig, NormConfig, PoolingConfig
from vitreous.models.adapters._parts import described, unsupported
from vitreous.models.adapters._timm_source import Part, Piece, Tensors, timm_module


def read_pooling(model: Part, n_prefix: int) -> Piece:
    """Pooling, last norm and head."""
    distilled = model.has("dist_token")
    kind = _kind(model, distilled)
    norm, first = model.norm("norm", "ln_final")
    pooled_norm, behind = model.norm("fc_norm", "ln_final")
    if pooled_norm is not None and (norm is not None or distilled):
        raise unsupported(
            "The last norm must stand before or behind the pooling; got `fc_norm` beside "
            f"`{'head_dist' if distilled else 'norm'}`"
        )
    attention, weights = _attention_pooling(model) if kind == "map" else (None, {})
    pooling = PoolingConfig(
        kind,
        norm or pooled_norm,
        # Without pooling, a norm "behind" it acts on tokens all the same.
        pooled_norm is None or kind == "none",
        n_prefix > 0 and _reads_prefix(model, kind),
        attention,
    )
    head, heads = _head(model, distilled)
    fields = {
        "pooling": pooling,
        "n_classes": None if head is None else head.out_features,
        "head_bias": head is not None and head.bias is not None,
    }
    return Piece(fields, first | behind | weights | heads)


def _reads_prefix(model: Part, kind: str) -> bool:
    """A mean or an attention; the families without the option leave it out of means alone."""
    if kind not in ("mean", "map"):
        return False
    return getattr(model.module, "pool_include_prefix", kind == "map")


def _kind(model: Part, distilled: bool) -> Any:
    kinds = {"token": "cls", "avg": "mean", "": "none", "map": "map"}
    kind = "cls" if distilled else kinds.get(model.module.global_pool)
    if kind is None:
        pooled = getattr(model.module, "attn_pool", None)
        raise unsupported(
            "Tokens must be pooled by class token, mean or attention; got "
            f"`global_pool={model.module.global_pool!r}`"
            + ("" if pooled is None else f", {described(pooled)}")
        )
    if (kind == "map") != model.has("attn_pool"):
        raise unsupported(
            "There must be an attention that pools where `global_pool='map'`, and only there; got "
            f"`global_pool={model.module.global_pool!r}`"
        )
    return kind


def _attention_pooling(model: Part) -> tuple[MapConfig, Tensors]:
    layers = timm_module("timm.layers")
    part = model.child("attn_pool", layers.AttentionPoolLatent)
    part.inert("proj_drop")
    source = part.module
    if source.pos_embed is not None or source.latent_len != 1:
        raise unsupported(
            "Attention must pool by one query and no positions of its own; got "
            f"`latent_len={source.latent_len}` at `{part.where}`"
        )
    n_heads, d_head = source.num_heads, source.head_dim
    k_norm, keys = part.norm("k_norm", "pooling.map.k_norm")
    kv = part.linear("kv", "pooling.map.kv")
    out = part.linear("proj", "pooling.map.out")
    norm, norms = part.norm("norm", "pooling.map.norm")
    d_mlp, act_name, mlp = _mlp(part)
    config = MapConfig(
        n_heads,
        d_head,
        len(out["pooling.map.out.weight"]),
        d_mlp,
        act_name,
        "pooling.map.kv.bias" in kv,
        "pooling.map.out.bias" in out,
        k_norm,
        norm if d_mlp is not None else None,
    )
    query = {"pooling.map.query": _query(part)}
    return config, query | keys | kv | out | mlp | (norms if d_mlp is not None else {})


def _mlp(part: Part) -> tuple[int | None, Any, Tensors]:
    if not part.has("mlp"):
        return None, "gelu", {}
    mlp = part.child("mlp", timm_module("timm.layers").Mlp)
    mlp.inert("drop1", "drop2")
    mlp.child("norm", nn.Identity)
    weights = mlp.linear("fc1", "pooling.map.mlp.fc_in")
    weights |= mlp.linear("fc2", "pooling.map.mlp.fc_out")
    return mlp.module.fc1.out_features, mlp.activation("act"), weights


def _query(part: Part) -> Tensor:
    """The latent as it meets the keys: projected and normalized, in float64."""
    latent = part.tensor("latent")
    assert latent is not None
    query = latent[0, 0].double()
    projection = part.child("q", nn.Linear, nn.Identity)
    if projection.is_a(nn.Linear):
        weight, bias = projection.tensor("weight"), projection.tensor("bias")
        assert weight is not None
        query = weight.double() @ query
        query = query if bias is None else query + bias.double()
    query = query.unflatten(0, (part.module.num_heads, part.module.head_dim))
    config, norm = part.norm("q_norm", "norm")
    return (query if config is None else _normalized(query, config, norm)).to(latent.dtype)


def _normalized(query: Tensor, config: NormConfig, norm: Tensors) -> Tensor:
    width, weights = query.shape[-1:], {name: weight.double() for name, weight in norm.items()}
    if config.kind == "rms":
        return functional.rms_norm(query, width, weights.get("norm.w"), config.eps)
    gain, bias = weights.get("norm.w"), weights.get("norm.b")
    return functional.layer_norm(query, width, gain, bias, config.eps)


def _head(model: Part, distilled: bool) -> tuple[Any, Tensors]:
    head = model.child("head", nn.Linear, nn.Identity)
    if distilled:
        model.child("head_dist", type(head.module))
    if head.is_a(nn.Identity):
        return None, {}
    weights = model.linear("head", "head.linear")
    weights |= model.linear("head_dist", "head.distillation") if distilled else {}
    return head.module, weights
