"""Where a weight of transformers goes, under the names of version 4 and of version 5 alike.

All families share one table: each name says what its weight is, and no two families mean
different things by one name. Places are our own names, but for weights that are still in pieces:
`attn.q`, `attn.k` and `attn.v`, the two halves `mlp.gate` and `mlp.up` of a gated MLP, and
`pooling.map.probe` and `.in` of a MAP head.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from vitreous.models._config import HookedViTConfig
from vitreous.models._part_configs import MapConfig
from vitreous.models.adapters._options import Tower
from vitreous.models.adapters._parts import fuse_qkv
from vitreous.models.adapters._transformers_videos import fold_time_dense, one_frame

_PLACES = {
    "embedding.cls_token": ("embeddings.cls_token", "embeddings.class_embedding"),
    "embedding.distillation_token": ("embeddings.distillation_token",),
    "embedding.registers": ("embeddings.register_tokens",),
    "embedding.pos": ("embeddings.position_embeddings", "embeddings.position_embedding.weight"),
    "embedding.pos_time": ("embeddings.time_embeddings",),
    "embedding.patch": (
        "embeddings.patch_embeddings.projection",
        "embeddings.patch_embeddings",
        "embeddings.patch_embedding",
    ),
    "ln_pre": ("pre_layrnorm",),
    "shared_table": (
        "shared_position_bias.relative_position_bias_table",
        "encoder.relative_position_bias.relative_position_bias_table",
    ),
    "ln_final": ("layernorm", "norm", "post_layernorm", "pooler.layernorm", "fc_norm"),
    "pooling.map.probe": ("head.probe",),
    "pooling.map.in.weight": ("head.attention.in_proj_weight",),
    "pooling.map.in.bias": ("head.attention.in_proj_bias",),
    "pooling.map.out": ("head.attention.out_proj",),
    "pooling.map.norm": ("head.layernorm",),
    "pooling.map.mlp.fc_in": ("head.mlp.fc1",),
    "pooling.map.mlp.fc_out": ("head.mlp.fc2",),
    "head.linear": ("classifier", "cls_classifier", "visual_projection"),
    "head.distillation": ("distillation_classifier",),
}
_TEXT_PLACES = {
    "embedding.tokens": ("embeddings.token_embedding.weight",),
    "embedding.pos": ("embeddings.position_embedding.weight",),
    "ln_final": ("final_layer_norm",),
    "head.linear": ("text_projection", "head"),
}
_BLOCK_PLACES = {
    "ln1": ("layernorm_before", "norm1", "layer_norm1"),
    "attn.q": ("attention.q_proj", "attention.attention.query", "self_attn.q_proj"),
    "attn.k": ("attention.k_proj", "attention.attention.key", "self_attn.k_proj"),
    "attn.v": ("attention.v_proj", "attention.attention.value", "self_attn.v_proj"),
    "attn.qkv": ("attention.attention.qkv",),
    "attn.q.bias": ("attention.attention.q_bias",),
    "attn.v.bias": ("attention.attention.v_bias",),
    "attn.relative_bias.table": (
        "relative_position_bias.relative_position_bias_table",
        "attention.attention.relative_position_bias.relative_position_bias_table",
    ),
    "attn.out": ("attention.o_proj", "attention.output.dense", "self_attn.out_proj"),
    "attn.gain": ("lambda_1", "layer_scale1.lambda1"),
    "ln_time": ("temporal_layernorm",),
    "attn_time.qkv": ("temporal_attention.attention.qkv",),
    "attn_time.out": ("temporal_attention.output.dense",),
    "attn_time.dense": ("temporal_dense",),
    "ln2": ("layernorm_after", "norm2", "layer_norm2"),
    "mlp.fc_in": ("mlp.fc1", "intermediate.dense"),
    "mlp.gate": ("mlp.gate_proj",),
    "mlp.up": ("mlp.up_proj",),
    "mlp.packed": ("mlp.weights_in",),
    "mlp.fc_out": ("mlp.fc2", "output.dense", "mlp.down_proj", "mlp.weights_out"),
    "mlp.gain": ("lambda_2", "layer_scale2.lambda1"),
}
_BASE = re.compile(
    r"^(vit|deit|beit|dinov2|dinov2_with_registers|vision_model|vivit|videomae"
    r"|timesformer)\."
)
_PIECE = re.compile(r"\.attn(_time)?\.[qkv]\.|\.attn_time\.dense\.|\.mlp\.(gate|up)\.")
_BLOCK = re.compile(r"^(?:encoder\.layers?|layers|model\.layer|layer)\.(\d+)\.(.+)$")
# Text towers, decoders and tokens of pretraining, poolers with a tanh, and tables of indices.
_UNREAD = re.compile(
    r"^(text_model|text_projection|logit_scale|logit_bias|decoder|encoder_to_decoder|pooler\.dense)(\.|$)"
    r"|(^|\.)(mask_token|position_ids|relative_position_index|inv_freq)$"
)

# The same of a text tower: what belongs to the image tower, and to both.
_UNREAD_BY_TEXTS = re.compile(
    r"^(vision_model|visual_projection|logit_scale|logit_bias)(\.|$)|(^|\.)position_ids$"
)


def _inverted(places: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: place for place, names in places.items() for name in names}


_BY_NAME, _BY_BLOCK_NAME = _inverted(_PLACES), _inverted(_BLOCK_PLACES)
_BY_TEXT_NAME = _inverted(_TEXT_PLACES)


def is_unread(name: str) -> bool:
    """Whether a weight has no part in what a converted model computes."""
    return _UNREAD.search(_BASE.sub("", name)) is not None


_NORMS = ("ln1", "ln_time", "ln2", "ln_pre", "ln_final", "norm")


def is_unread_by_texts(name: str) -> bool:
    """The same for the text tower."""
    return _UNREAD_BY_TEXTS.search(name) is not None


def place_of(name: str) -> str | None:
    """The place of a weight, or None where nothing of that name is known."""
    return _place(_BASE.sub("", name), _BY_NAME)


def text_place_of(name: str) -> str | None:
    """The same in a text tower."""
    return _place(name.removeprefix("text_model."), _BY_TEXT_NAME)


def _place(name: str, places: dict[str, str]) -> str | None:
    match, block = _BLOCK.match(name), ""
    if match is not None:
        block, name, places = f"blocks.{match[1]}.", match[2], _BY_BLOCK_NAME
    if name in places:
        return block + places[name]
    part, _, leaf = name.rpartition(".")
    if part not in places or leaf not in ("weight", "bias"):
        return None
    place = block + places[part]
    is_norm = place.rpartition(".")[2] in _NORMS
    return f"{place}.{leaf[0] if is_norm else leaf}"


def knows(name: str) -> bool:
    """Whether a weight of transformers may have this name, in version 4 or 5."""
    return place_of(name) is not None or is_unread(name)


def renamed(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """A state dict of transformers under our names; one that nobody knows keeps its own.

    Raises:
        KeyError: A weight is missing that others are put together with.
    """
    by_place, names, unknown = placed(tensors)
    ours = assembled(by_place, cfg)
    # What lacks its counterparts is still in pieces, which have no name of ours.
    pieces = [place for place in ours if _PIECE.search(place)]
    own = {names[place]: ours.pop(place) for place in pieces}
    return ours | own | {name: tensors[name] for name in unknown}


def placed(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Sorts weights to their places.

    Returns:
        The weights by place, the name that each had, and the names that have no place.
    """
    return _sorted(tensors, place_of, is_unread)


def towers_of(tensors: dict[str, Tensor]) -> Tower:
    """The towers that weights are of."""
    has_texts = any("embeddings.token_embedding." in name for name in tensors)
    has_images = any("embeddings.patch_embedding" in name for name in tensors)
    return "both" if has_texts and has_images else "text" if has_texts else "image"


def placed_texts(
    tensors: dict[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """The same for the text tower."""
    return _sorted(tensors, text_place_of, is_unread_by_texts)


def _sorted(
    tensors: dict[str, Tensor],
    place_of: Callable[[str], str | None],
    is_unread: Callable[[str], bool],
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    by_place: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        place = place_of(name)
        if is_unread(name):
            continue
        if place is None or place in by_place:
            unknown.append(name)
            continue
        for each, part in _unpacked(place, tensor):
            by_place[each], names[each] = part, name
    return by_place, names, unknown


def _unpacked(place: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """What comes in one piece apart, as version 5 has it elsewhere."""
    for packed, pieces in (("packed", ("gate", "up")), ("qkv", ("q", "k", "v"))):
        if f".{packed}." in place:
            chunks = tensor.chunk(len(pieces))
            names = (place.replace(f".{packed}.", f".{piece}.") for piece in pieces)
            return list(zip(names, chunks, strict=True))
    return [(place, tensor)]


# ---- from places to the weights of a `HookedViT`


def count_layers(by_place: dict[str, Tensor]) -> int:
    blocks = [name.split(".")[1] for name in by_place if name.startswith("blocks.")]
    return 1 + max((int(layer) for layer in blocks), default=-1)


def assembled_text(by_place: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a text tower under our names, with everything in one piece."""
    tensors = dict(by_place)
    for layer in range(count_layers(by_place)):
        fuse_qkv(tensors, f"blocks.{layer}.attn.")
    return tensors


def assembled(by_place: dict[str, Tensor], cfg: HookedViTConfig) -> dict[str, Tensor]:
    """Weights under our names, with everything in one piece and nothing that isn't read."""
    unread = ("ln_final.",) if cfg.pooling.norm is None else ()
    unread += ("pooling.map.",) if cfg.pooling.map is None else ()
    tensors = {
        place: tensor
        for place, tensor in by_place.items()
        if tensor.numel() and not place.startswith(unread)
    }
    for layer in range(cfg.n_layers):
        for attn in ("attn", "attn_time"):
            fuse_qkv(tensors, f"blocks.{layer}.{attn}.")
        fold_time_dense(tensors, f"blocks.{layer}.attn_time.")
        _name_gate(tensors, f"blocks.{layer}.mlp.")
    _share_relative_bias(tensors, cfg.n_layers)
    _shape_tokens(tensors, cfg)
    _shape_patches(tensors, cfg)
    if cfg.pooling.map is not None:
        _fuse_map(tensors, cfg.pooling.map)
    return tensors


def _name_gate(tensors: dict[str, Tensor], at: str) -> None:
    """DINOv3 calls a plain MLP's input `up_proj`, too."""
    up = "fc_linear" if f"{at}gate.weight" in tensors else "fc_in"
    for name, ours in (("gate", "fc_in"), ("up", up)):
        for leaf in ("weight", "bias"):
            if f"{at}{name}.{leaf}" in tensors:
                tensors[f"{at}{ours}.{leaf}"] = tensors.pop(f"{at}{name}.{leaf}")


def _share_relative_bias(tensors: dict[str, Tensor], n_layers: int) -> None:
    """A table that all layers share is added to each one's own."""
    shared = tensors.pop("shared_table", None)
    if shared is None:
        return
    for layer in range(n_layers):
        name = f"blocks.{layer}.attn.relative_bias.table"
        tensors[name] = shared + tensors[name] if name in tensors else shared


def _shape_tokens(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> None:
    if not cfg.distillation_token and "embedding.distillation_token" in tensors:
        tensors["embedding.registers"] = tensors.pop("embedding.distillation_token")
    for name in ("cls_token", "distillation_token", "registers"):
        if f"embedding.{name}" in tensors:
            tokens = tensors[f"embedding.{name}"]
            tensors[f"embedding.{name}"] = tokens.reshape(1, -1, cfg.d_model)
    if "embedding.pos" in tensors:
        pos = tensors["embedding.pos"].reshape(-1, cfg.d_model)
        # DINOv2's registers, behind the class token, have no positions.
        in_each_frame = cfg.position is not None and cfg.position.frames == "added"
        n_patches = cfg.grid[0] * cfg.grid[1] if in_each_frame else cfg.n_patches
        n_missing = cfg.n_prefix + n_patches - len(pos)
        still = pos.new_zeros(max(0, n_missing), cfg.d_model)
        tensors["embedding.pos"] = torch.cat([pos[:1], still, pos[1:]])


def _shape_patches(tensors: dict[str, Tensor], cfg: HookedViTConfig) -> None:
    """SigLIP 2 reads patches that are flat, with the color last."""
    weight = tensors["embedding.patch.weight"]
    tensors["embedding.patch.weight"] = one_frame(weight)
    if weight.ndim == 2:
        pixels = weight.unflatten(1, (*cfg.patch_shape, cfg.n_channels))
        tensors["embedding.patch.weight"] = pixels.permute(0, 3, 1, 2)


def _fuse_map(tensors: dict[str, Tensor], parts: MapConfig) -> None:
    """The learned query as it meets the keys, and keys and values in one weight."""
    probe = tensors.pop("pooling.map.probe").flatten()
    weight, bias = tensors.pop("pooling.map.in.weight"), tensors.pop("pooling.map.in.bias")
    width = len(probe)
    query = weight[:width].double() @ probe.double() + bias[:width].double()
    tensors["pooling.map.query"] = query.to(probe).unflatten(0, (parts.n_heads, parts.d_head))
    tensors["pooling.map.kv.weight"] = weight[width:]
    tensors["pooling.map.kv.bias"] = bias[width:]
