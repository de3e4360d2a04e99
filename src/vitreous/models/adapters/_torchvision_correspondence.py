"""Where torchvision's vision transformers have the values of our hook points."""

from typing import Any

from vitreous.models.adapters._correspondence import (
    FINAL,
    Correspondence,
    Seen,
    comes_out,
    goes_in,
    normalized_last,
)

_IN_BLOCK: tuple[Seen, ...] = (
    comes_out("ln1.hook_normalized", "ln_1"),
    comes_out("hook_attn_out", "self_attention"),
    goes_in("hook_resid_mid", "ln_2"),
    comes_out("ln2.hook_normalized", "ln_2"),
    comes_out("mlp.hook_pre", "mlp.0"),
    goes_in("mlp.hook_post", "mlp.3"),
    comes_out("hook_mlp_out", "mlp"),
)
_OUTSIDE: tuple[Seen, ...] = (
    goes_in("hook_full_embed", "encoder.dropout"),
    comes_out("hook_ln_final", "encoder.ln", view=normalized_last, where=FINAL),
    goes_in("pre_logits", "heads"),
)


def correspondence(module: Any) -> Correspondence:
    return Correspondence(
        "encoder.layers", _IN_BLOCK, _OUTSIDE, lambda source, images: source(images)
    )
