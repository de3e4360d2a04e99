"""The grammar of hook names: TransformerLens's shorthands, and components such as L11H4."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

# Under which part of a block a short name lives; "" is the block itself.
_SUBLAYERS = {
    "q": "attn", "k": "attn", "v": "attn", "z": "attn", "rot_q": "attn", "rot_k": "attn",
    "attn_scores": "attn", "pattern": "attn", "result": "attn",
    "pre": "mlp", "post": "mlp", "mid": "mlp", "pre_linear": "mlp",
    "resid_pre": "", "resid_mid": "", "resid_post": "", "attn_out": "", "mlp_out": "",
    "attn_in": "", "q_input": "", "k_input": "", "v_input": "", "mlp_in": "",
    "resid_time": "", "attn_time_out": "", "attn_time_in": "",
    "q_time_input": "", "k_time_input": "", "v_time_input": "",
}  # fmt: skip
_ALIASES = {
    "attn": "pattern", "attn_logits": "attn_scores", "key": "k", "query": "q", "value": "v",
    "mlp_pre": "pre", "mlp_mid": "mid", "mlp_post": "post",
}  # fmt: skip
_LAYER_TYPES = {
    "a": "attn", "attn": "attn", "t": "attn_time", "m": "mlp", "mlp": "mlp", "b": "", "block": "",
    "q_norm": "attn.q_norm", "k_norm": "attn.k_norm", "z_norm": "attn.z_norm",
}  # fmt: skip
_NORMS = ("scale", "normalized")
_WRITERS = {"M": "mlp", "A": "attn", "T": "attn_time"}
_COMPONENT = re.compile(r"L(\d+)(?:([HT])(\d+)|([MAT])|N(\d+))")


def get_act_name(name: str, layer: int | str | None = None, layer_type: str | None = None) -> str:
    """The full hook name behind a shorthand.

    `get_act_name("pattern", 3)` is `"blocks.3.attn.hook_pattern"`, `get_act_name("k6")` is
    `"blocks.6.attn.hook_k"`, `get_act_name("scale", 4, "ln1")` is `"blocks.4.ln1.hook_scale"`;
    without a layer, `get_act_name("embed")` is `"hook_embed"`. Full names come back unchanged.

    Args:
        name: Short name, or a full one.
        layer: Number of the block; not negative here, since that needs a model.
        layer_type: Part of the block: `"attn"`, `"mlp"`, `"ln1"`, `"ln2"`, `"a"`, `"m"`, `"b"`; of
            divided attention `"attn_time"` or `"t"`, and `"ln_time"`.
    """
    if "hook_" in name:
        return name
    glued = re.fullmatch(r"([a-z_]+)(\d+)([a-z]?.*)", name)
    if glued and layer is None and glued[1] not in ("ln",):
        name, layer, layer_type = glued[1], int(glued[2]), glued[3] or layer_type
    name = _ALIASES.get(name, name)
    if layer is None:
        return f"ln_final.hook_{name}" if name in _NORMS else f"hook_{name}"
    part = _LAYER_TYPES.get(layer_type or "", layer_type or "") or _SUBLAYERS.get(name, "")
    return f"blocks.{layer}.{part}.hook_{name}" if part else f"blocks.{layer}.hook_{name}"


def canonical_name(n_layers: int) -> Callable[[object], str]:
    """Turns the keys that users type into full hook names, for a model of `n_layers` blocks."""
    return partial(_canonical, n_layers)


def _canonical(n_layers: int, key: object) -> str:
    if isinstance(key, str):
        return get_act_name(key) if re.fullmatch(r"[a-z_]+(\d+[a-z0-9]*)?", key) else key
    if not _is_shorthand(key):
        raise TypeError(
            f"A hook name must be a string or a tuple such as ('pattern', 3); got {key!r}. "
            "`model.hook_names()` lists them all."
        )
    return get_act_name(key[0], *_counted_from_front(key[1:], n_layers))


def _is_shorthand(key: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether `key` is (name, layer, part) or less of it, and not a tuple of several names."""
    if not isinstance(key, tuple) or not 1 <= len(key) <= 3:
        return False
    kinds = (str, int, str)
    fits = all(isinstance(part, kind) for part, kind in zip(key, kinds, strict=False))
    return fits and (len(key) == 1 or "hook_" not in key[0])


def component_site(n_layers: int) -> Callable[[str], tuple[str, dict[str, int]] | None]:
    """Reads `"L11H4"`, `"L7M"`, `"L7A"` and `"L7N1024"` as a hook name and the fields of a site.

    `"L11T4"` is a head of an attention over time, and `"L11T"` what that writes.
    """
    return partial(_component, n_layers)


def _component(n_layers: int, text: str) -> tuple[str, dict[str, int]] | None:
    match = _COMPONENT.fullmatch(text)
    if match is None:
        return None
    layer = int(match[1])
    if layer >= n_layers:
        raise ValueError(
            f"`{text}` must name a layer in 0..{n_layers - 1}; got {layer}. Choose another."
        )
    if match[2]:
        attn = "attn" if match[2] == "H" else "attn_time"
        return f"blocks.{layer}.{attn}.hook_z", {"head": int(match[3])}
    if match[4]:
        return f"blocks.{layer}.hook_{_WRITERS[match[4]]}_out", {}
    return f"blocks.{layer}.mlp.hook_post", {"neuron": int(match[5])}


def _counted_from_front(rest: tuple[Any, ...], n_layers: int) -> tuple[Any, ...]:
    if not rest or not isinstance(rest[0], int):
        return rest
    layer, *part = rest
    if not -n_layers <= layer < n_layers:
        raise ValueError(
            f"A layer must lie in {-n_layers}..{n_layers - 1}; got {layer}. Choose another."
        )
    return (layer % n_layers, *part)
