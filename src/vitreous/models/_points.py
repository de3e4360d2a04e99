"""What the dimensions of the tensor at a hook point count."""

from vitreous.models._part_configs import PoolingConfig

_WIDE_HEADS = (
    "hook_result", "hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input",
    "hook_attn_time_in", "hook_q_time_input", "hook_k_time_input", "hook_v_time_input",
)  # fmt: skip
_HEADS = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_rot_q", "hook_rot_k")
_HEAD_NORMS = (".q_norm.", ".k_norm.")


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
