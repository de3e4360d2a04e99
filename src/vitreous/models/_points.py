"""What the dimensions of the tensor at a hook point count, and which points are of a kind."""

import re
from collections.abc import Iterable

from vitreous.models._part_configs import PoolingConfig

_WIDE_HEADS = (
    "hook_result", "hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input",
    "hook_attn_time_in", "hook_q_time_input", "hook_k_time_input", "hook_v_time_input",
)  # fmt: skip
_HEADS = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_rot_q", "hook_rot_k")
_HEAD_NORMS = (".q_norm.", ".k_norm.")
_KINDS = {
    "scores": "hook_attn_scores", "pooling scores": "hook_attn_scores",
    "patterns": "hook_pattern", "norms": "hook_scale", "mlps": "hook_mlp_out",
}  # fmt: skip
_BLOCK = re.compile(r"blocks\.(\d+)\.")


def axes_of(name: str, pooling: PoolingConfig) -> tuple[str, ...]:
    """The dimensions at a point of a tower, in one word each."""
    last = name.rsplit(".", 1)[-1]
    if last in ("hook_attn_scores", "hook_pattern"):
        return ("image", "head", "query", "key")
    if last == "hook_post_head_pre_normalize":
        return ("image", *(["token"] if pooling.kind == "none" else []), "label")
    if last in _WIDE_HEADS:
        return ("image", "token", "head", "d_model")
    if last in _HEADS or any(norm in name for norm in _HEAD_NORMS):
        return ("image", "token", "head", "d_head")
    return ("image", "patch" if name.startswith("embedding.") else "token", _width(name, pooling))


def _width(name: str, pooling: PoolingConfig) -> str:
    """The last dimension, of a point without heads."""
    if ".z_norm." in name:
        return "width"
    if ".mlp.hook_" in name or ".mlp.norm." in name:
        return "neuron"
    is_pooled = "ln_final" in name and not pooling.normalizes_tokens
    return "d_pooled" if is_pooled or name.startswith("pooling.") else "d_model"


def points_of_kind(names: Iterable[str], kind: str, layers: Iterable[int] | None) -> list[str]:
    """The points of a kind; of some layers, or of the whole model, embedding and readout too."""
    found = [name for name in names if name.rsplit(".", 1)[-1] == _KINDS[kind]]
    blocks = {name: int(m[1]) for name in found if (m := _BLOCK.match(name))}
    if kind == "pooling scores":
        return [name for name in found if name not in blocks]
    if layers is None and kind != "scores":
        return found
    chosen = set(blocks.values()) if layers is None else set(layers)
    return [name for name, layer in blocks.items() if layer in chosen]


def belongs_to_tokens(name: str, pooling: PoolingConfig) -> bool:
    """Whether a point has values for each token of the sequence."""
    is_pooled = "ln_final" in name and not pooling.normalizes_tokens
    return not (is_pooled or name.startswith(("pooling.", "embedding.")))
