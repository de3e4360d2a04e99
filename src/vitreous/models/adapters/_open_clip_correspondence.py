"""Where open_clip's towers have the values of our hook points."""

from typing import Any

from torch import Tensor

from vitreous._optional import needs
from vitreous.models.adapters import _timm_correspondence
from vitreous.models.adapters._correspondence import (
    FINAL,
    Correspondence,
    Seen,
    as_is,
    below,
    by_heads,
    comes_out,
    goes_in,
    normalized_last,
    one_token,
)
from vitreous.models.adapters._open_clip_text import is_text

IN_BLOCK: tuple[Seen, ...] = (
    comes_out("ln1.hook_normalized", "ln_1"),
    goes_in("attn.hook_z", "attn.ln_inner", view=by_heads),
    comes_out("attn.z_norm.hook_normalized", "attn.ln_inner"),
    comes_out("hook_attn_out", "ls_1", "attn"),
    goes_in("hook_resid_mid", "ln_2"),
    comes_out("ln2.hook_normalized", "ln_2"),
    comes_out("mlp.hook_pre", "mlp.c_fc"),
    goes_in("mlp.hook_mid", "mlp.ln", where="mlp.norm.hook_scale"),
    comes_out("mlp.norm.hook_normalized", "mlp.ln"),
    goes_in("mlp.hook_post", "mlp.c_proj"),
    comes_out("hook_mlp_out", "ls_2", "mlp"),
)

OUTSIDE: tuple[Seen, ...] = (
    goes_in("hook_full_embed", "ln_pre"),
    comes_out("hook_ln_pre", "ln_pre"),
    comes_out("hook_ln_final", "attn_pool.ln_k", where=FINAL),
    comes_out("hook_ln_final", "ln_post", view=normalized_last, where=FINAL, unless="attn_pool"),
    # Of many queries, the first is what comes out.
    comes_out("pooling.map.hook_attn_out", "attn_pool.attn", view=one_token),
    comes_out("pooling.map.hook_pooled", "ln_post", view=one_token),
)


# Of a text tower.
TEXT_OUTSIDE: tuple[Seen, ...] = (
    comes_out("hook_embed", "token_embedding", unless="cls_emb"),
    goes_in("hook_full_embed", "transformer"),
    comes_out("hook_ln_final", "ln_final", view=normalized_last, where=FINAL),
    # A projection is mostly no module; where it is one, all that it reads is what is pooled.
    goes_in("pre_logits", "text_projection"),
)


def correspondence(module: Any, tower: str | None = None) -> Correspondence:
    if hasattr(module, "visual") and tower != "text":
        return _inside("visual", _of_images(module.visual))
    if hasattr(module, "visual") and hasattr(module, "text"):
        return _inside("text", _of_texts(module.text))
    return _of_texts(module) if is_text(module) or tower == "text" else _of_images(module)


def _inside(part: str, about: Correspondence) -> Correspondence:
    """The same for a model that has the tower as a part."""
    return Correspondence(
        f"{part}.{about.blocks}",
        about.in_block,
        below(part, about.outside),
        lambda module, inputs: about.run(getattr(module, part), inputs),
        lambda module: about.prepare(getattr(module, part)),
        about.arrange,
    )


def _of_texts(module: Any) -> Correspondence:
    run = _embedding if is_text(module) else _built_in
    arrange = as_is if module.transformer.batch_first else images_first
    return Correspondence(
        "transformer.resblocks", IN_BLOCK, TEXT_OUTSIDE, run, in_one_dtype, arrange
    )


def _built_in(module: Any, tokens: Tensor) -> Tensor:
    """The embedding of a text tower without a module of its own."""
    return module.encode_text(tokens)


def _of_images(module: Any) -> Correspondence:
    if not hasattr(module, "trunk"):
        arrange = as_is if module.transformer.batch_first else images_first
        return Correspondence(
            "transformer.resblocks", IN_BLOCK, OUTSIDE, _embedding, in_one_dtype, arrange
        )
    outside = below("trunk", _timm_correspondence.OUTSIDE)
    if hasattr(module.head, "proj"):  # the trunk's own head is none, and the projection is ours
        outside = (goes_in("pre_logits", "head"), *outside)
    return Correspondence("trunk.blocks", _timm_correspondence.IN_BLOCK, outside, _embedding)


def images_first(value: Tensor, cfg: Any) -> Tensor:
    """`[tokens batch width]` to `[batch tokens width]`."""
    return value.transpose(0, 1)


def in_one_dtype(module: Any) -> None:
    """Has norms for mixed precision, which compute in float32, compute in the copy's dtype."""
    parts = needs("open_clip.transformer", extra="clip", feature='load("open_clip:...")')
    for part in module.modules():
        if type(part) is parts.LayerNormFp32:
            part.__class__ = parts.LayerNorm


def _embedding(module: Any, inputs: Tensor) -> Tensor:
    """What comes out; a tower that gives its tokens too gives them second."""
    output = module(inputs)
    return output[0] if isinstance(output, tuple) else output
