"""What a timm model is made of, read off the module and never off its name.

Each part must be of a class whose forward pass is known here; whatever else there is gets a
refusal that says where, so that a model that converts computes what its source computes.
"""

from types import ModuleType
from typing import Any

from torch import nn

from vitreous._errors import UnsupportedModelError
from vitreous._optional import needs
from vitreous.models._config import (
    AttentionConfig,
    HookedViTConfig,
    NormConfig,
    PoolingConfig,
    PositionConfig,
)

# What a refused class is, in words.
_FEATURES = {
    "AttentionPoolLatent": "attention pooling",
    "AttentionPoolPrr": "attention pooling",
    "DiffAttention": "differential attention",
    "DiffParallelScalingBlock": "differential attention and MLP in parallel",
    "GluMlp": "a gated MLP",
    "HybridEmbed": "a convolutional stem",
    "ParallelScalingBlock": "attention and MLP in parallel",
    "ParallelThingsBlock": "several attentions and MLPs in parallel",
    "ResPostBlock": "norms behind attention and MLP",
    "SwiGLU": "a gated MLP",
    "SwiGLUPacked": "a gated MLP",
}


def read_config(module: Any) -> HookedViTConfig:
    """What the module is made of; it may lie on the meta device.

    Raises:
        UnsupportedModelError: A part that `HookedViT` lacks.
    """
    family = _family(module)
    _check_untouched(module, family)
    distilled = family is not vit_module().VisionTransformer
    head = _exactly(module.head, "head", nn.Linear, nn.Identity)
    if distilled:
        _exactly(module.head_dist, "head_dist", type(head))
    tokens = {
        "cls_token": module.cls_token is not None,
        "distillation_token": distilled,
        "n_registers": 0 if module.reg_token is None else module.reg_token.shape[1],
    }
    embedding = _embedding_fields(module, sum(tokens.values()), distilled)
    return HookedViTConfig(
        d_model=module.embed_dim,
        n_layers=len(module.blocks),
        n_classes=head.out_features if isinstance(head, nn.Linear) else None,
        head_bias=isinstance(head, nn.Linear) and head.bias is not None,
        ln_pre=_norm(module.norm_pre, "norm_pre"),
        pooling=_pooling(module, distilled),
        **tokens,
        **embedding,
        **_blocks_fields(module.blocks),
    )


def _family(module: nn.Module) -> Any:
    families = (
        timm_module("timm.models.deit").VisionTransformerDistilled,
        vit_module().VisionTransformer,
    )
    for family in families:
        if isinstance(module, family):
            return family
    raise unsupported(
        "A timm model must be a `VisionTransformer` or `VisionTransformerDistilled`; got a "
        f"`{type(module).__name__}`"
    )


_METHODS = ("forward", "forward_features", "forward_head", "pool", "_pos_embed")


def _check_untouched(module: nn.Module, family: Any) -> None:
    """No forward pass but the class's own: no override, no monkeypatch, no hook."""
    for method in _METHODS:
        if getattr(type(module), method, None) is not getattr(family, method, None):
            raise unsupported(
                f"`{method}` must be that of timm's `{family.__name__}`; got one of "
                f"`{type(module).__name__}`'s own"
            )
    for name, part in module.named_modules():
        where = f"`{name}`" if name else "the model"
        for method in ("forward",) if name else _METHODS:
            if method in vars(part):
                raise unsupported(
                    f"A module's methods must be those of its class; got another `{method}` on "
                    f"{where}"
                )
        if part._forward_hooks or part._forward_pre_hooks:
            raise UnsupportedModelError(
                "A module must have no forward hooks, which may change what it computes; got some "
                f"on {where}. Remove them first."
            )


def _embedding_fields(module: Any, n_prefix: int, distilled: bool) -> dict[str, Any]:
    patches = _exactly(module.patch_embed, "patch_embed", vit_module().PatchEmbed)
    conv = _exactly(patches.proj, "patch_embed.proj", nn.Conv2d)
    _exactly(patches.norm, "patch_embed.norm", nn.Identity)
    _inert(module, "", "pos_drop", "patch_drop", "head_drop")
    if module.num_prefix_tokens != n_prefix:  # timm's distilled model drops its registers
        raise unsupported(
            f"A model must use all of its {n_prefix} class, distillation and register tokens; got "
            f"`num_prefix_tokens={module.num_prefix_tokens}`"
        )
    size, patch = tuple(patches.img_size), tuple(conv.kernel_size)
    plain = (conv.stride, conv.padding, conv.dilation, conv.groups)
    if plain != (patch, (0, 0), (1, 1), 1) or any(s % p for s, p in zip(size, patch, strict=True)):
        raise unsupported(
            f"Patches must tile the image; got patches of {patch[0]} x {patch[1]} at a stride of "
            f"{conv.stride} in an image of {size[0]} x {size[1]}"
        )
    return {
        "image_size": size,
        "patch_size": patch,
        "n_channels": conv.in_channels,
        "patch_bias": conv.bias is not None,
        "position": _position(module, size[0] // patch[0] * (size[1] // patch[1]), n_prefix),
    }


def _position(module: Any, n_patches: int, n_prefix: int) -> PositionConfig | None:
    if module.pos_embed is None:
        _check_prefix_without_positions(module, n_patches, n_prefix)
        return None
    expected = n_patches + (0 if module.no_embed_class else n_prefix)
    if module.pos_embed.shape[1] != expected:
        raise unsupported(
            f"`pos_embed` must have a row for each of {expected} positions; got "
            f"{module.pos_embed.shape[1]}, a grid that is resized in each pass"
        )
    return PositionConfig(prefix=not module.no_embed_class)


def _check_prefix_without_positions(module: Any, n_patches: int, n_prefix: int) -> None:
    """Where there are no positions, older versions of timm leave out the class token too."""
    patches = module.patch_embed.proj.weight.new_zeros(1, n_patches, module.embed_dim)
    n_tokens = module._pos_embed(patches).shape[1]
    if n_tokens != n_patches + n_prefix:
        raise UnsupportedModelError(
            f"Without positions there must be {n_patches + n_prefix} tokens all the same; got "
            f"{n_tokens}, since this version of timm drops class and register tokens. Update timm."
        )


def _pooling(module: Any, distilled: bool) -> PoolingConfig:
    if module.attn_pool is not None:
        raise unsupported(
            "Tokens must be pooled by class token or mean; "
            f"got {_described(module.attn_pool)} at `attn_pool`"
        )
    kinds = {"token": "cls", "avg": "mean", "": "none"}
    kind: Any = "cls" if distilled else kinds.get(module.global_pool)
    if kind is None:
        raise unsupported(
            "Tokens must be pooled by class token or mean; "
            f"got `global_pool={module.global_pool!r}`"
        )
    if kind == "mean" and module.pool_include_prefix and module.num_prefix_tokens:
        raise unsupported(
            "The mean must be that of the patches; got `pool_include_prefix=True`, which counts "
            "class and register tokens"
        )
    norm, pooled_norm = _norm(module.norm, "norm"), _norm(module.fc_norm, "fc_norm")
    if pooled_norm is not None and (norm is not None or distilled):
        raise unsupported(
            "The last norm must stand before or behind the pooling; got `fc_norm` beside "
            f"`{'head_dist' if distilled else 'norm'}`"
        )
    # Without pooling, a norm "behind" it acts on tokens all the same.
    return PoolingConfig(kind, norm or pooled_norm, pooled_norm is None or kind == "none")


def _blocks_fields(blocks: Any) -> dict[str, Any]:
    _exactly(blocks, "blocks", nn.Sequential)
    fields = [_block_fields(block, f"blocks.{i}") for i, block in enumerate(blocks)]
    for i, other in enumerate(fields):
        for name, value in fields[0].items():
            if other[name] != value:
                raise unsupported(
                    f"All blocks must be alike; got `{name}={other[name]}` in `blocks.{i}` and "
                    f"{value} in `blocks.0`"
                )
    return fields[0]


def _block_fields(block: Any, where: str) -> dict[str, Any]:
    _exactly(block, where, vit_module().Block)
    _inert(block, f"{where}.", "drop_path1", "drop_path2")
    norm = _norm(block.norm1, f"{where}.norm1")
    if _norm(block.norm2, f"{where}.norm2") != norm:
        raise unsupported(f"Both norms of a block must be alike; got two kinds in `{where}`")
    gains = [
        type(
            _exactly(getattr(block, name), f"{where}.{name}", vit_module().LayerScale, nn.Identity)
        )
        for name in ("ls1", "ls2")
    ]
    return {
        "norm": norm,
        "layer_scale": vit_module().LayerScale in gains,
        **_attention_fields(block.attn, f"{where}.attn"),
        **_mlp_fields(block.mlp, f"{where}.mlp"),
    }


def _attention_fields(attn: Any, where: str) -> dict[str, Any]:
    _exactly(attn, where, vit_module().Attention)
    _exactly(attn.norm, f"{where}.norm", nn.Identity)
    _inert(attn, f"{where}.", "attn_drop", "proj_drop")
    qkv = _exactly(attn.qkv, f"{where}.qkv", nn.Linear)
    out = _exactly(attn.proj, f"{where}.proj", nn.Linear)
    if getattr(attn, "gate", None) is not None:
        raise unsupported(f"Attention's output must not be gated; got a gate at `{where}.gate`")
    if attn.scale != attn.head_dim**-0.5:
        raise unsupported(f"`{where}.scale` must be 1 / sqrt({attn.head_dim}); got {attn.scale}")
    q_norm, k_norm = _norm(attn.q_norm, f"{where}.q_norm"), _norm(attn.k_norm, f"{where}.k_norm")
    if q_norm != k_norm:
        raise unsupported(f"Queries and keys must have like norms; got two kinds in `{where}`")
    return {
        "n_heads": attn.num_heads,
        "d_head": attn.head_dim,
        "attention": AttentionConfig(qkv.bias is not None, out.bias is not None, q_norm),
    }


def _mlp_fields(mlp: Any, where: str) -> dict[str, Any]:
    _exactly(mlp, where, vit_module().Mlp)
    _exactly(mlp.norm, f"{where}.norm", nn.Identity)
    _inert(mlp, f"{where}.", "drop1", "drop2")
    layers = [_exactly(getattr(mlp, n), f"{where}.{n}", nn.Linear) for n in ("fc1", "fc2")]
    return {
        "d_mlp": layers[0].out_features,
        "act_name": _activation(mlp.act, f"{where}.act"),
        "mlp_bias": any(layer.bias is not None for layer in layers),
    }


# ---- parts


def _norm(part: Any, where: str) -> NormConfig | None:
    layers = timm_module("timm.layers")
    kinds: dict[type, Any] = {
        nn.LayerNorm: "layer",
        layers.LayerNorm: "layer",
        nn.RMSNorm: "rms",
        layers.RmsNorm: "rms",
    }
    _exactly(part, where, *kinds, nn.Identity)
    if type(part) is nn.Identity:
        return None
    if part.eps is None:
        raise unsupported(f"A norm must have an eps of its own; got None at `{where}`")
    return NormConfig(kinds[type(part)], part.eps, part.weight is not None)


def _activation(part: Any, where: str) -> Any:
    layers = timm_module("timm.layers")
    names = {
        nn.GELU: "gelu",
        layers.GELU: "gelu",
        layers.GELUTanh: "gelu_tanh",
        layers.QuickGELU: "quick_gelu",
        nn.ReLU: "relu",
        nn.SiLU: "silu",
        layers.Swish: "silu",
    }
    _exactly(part, where, *names)
    tanh = type(part) is nn.GELU and part.approximate == "tanh"
    return "gelu_tanh" if tanh else names[type(part)]


def _inert(module: Any, where: str, *names: str) -> None:
    """Checks that parts do nothing in evaluation mode."""
    vit = vit_module()
    for name in names:
        kinds = (nn.Identity, nn.Dropout, vit.DropPath, vit.PatchDropout)
        _exactly(getattr(module, name), where + name, *kinds)


def _exactly(part: Any, where: str, *kinds: type) -> Any:
    """The part, if its class is one of `kinds`: a subclass may compute something else."""
    if type(part) not in kinds:
        words = " or ".join(dict.fromkeys(f"`{kind.__name__}`" for kind in kinds))
        raise unsupported(f"`{where}` must be a {words}; got {_described(part)}")
    return part


def _described(part: Any) -> str:
    name = type(part).__name__
    feature = _FEATURES.get(name)
    return f"a `{name}`" + (f" ({feature})" if feature else "")


def unsupported(what: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{what}. Use `vt.wrap(module)` for hooks on any module.")


def vit_module() -> ModuleType:
    return timm_module("timm.models.vision_transformer")


def timm_module(module: str) -> ModuleType:
    return needs(module, extra="timm", feature='load("timm:...")')
