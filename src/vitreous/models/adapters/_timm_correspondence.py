"""Where timm's transformers have the values of our hook points."""

from typing import Any

from vitreous.models.adapters._correspondence import (
    FINAL,
    Correspondence,
    Seen,
    by_heads,
    comes_out,
    goes_in,
    heads_first,
    normalized_last,
    one_token,
    pooled_half,
    pooled_heads,
    pooled_heads_first,
    third,
)

IN_BLOCK: tuple[Seen, ...] = (
    comes_out("ln1.hook_normalized", "norm1", "in_norm"),
    # Where a bias is added behind the fused map, its output is no query yet: the norm sees it.
    goes_in("attn.hook_q", "attn.q_norm", view=heads_first),
    goes_in("attn.hook_k", "attn.k_norm", view=heads_first),
    goes_in("attn.hook_q", "q_norm"),
    goes_in("attn.hook_k", "k_norm"),
    comes_out("attn.hook_q", "attn.q_proj", view=by_heads),
    comes_out("attn.hook_k", "attn.k_proj", view=by_heads),
    comes_out("attn.hook_v", "attn.v_proj", view=by_heads),
    comes_out("attn.hook_q", "attn.qkv", view=third(0), unless="attn.q_bias"),
    comes_out("attn.hook_k", "attn.qkv", view=third(1), unless="attn.q_bias"),
    comes_out("attn.hook_v", "attn.qkv", view=third(2), unless="attn.q_bias"),
    comes_out("attn.q_norm.hook_normalized", "attn.q_norm", view=heads_first),
    comes_out("attn.k_norm.hook_normalized", "attn.k_norm", view=heads_first),
    comes_out("attn.q_norm.hook_normalized", "q_norm"),
    comes_out("attn.k_norm.hook_normalized", "k_norm"),
    goes_in("attn.hook_z", "attn.norm", "attn.proj", view=by_heads),
    comes_out("attn.z_norm.hook_normalized", "attn.norm"),
    comes_out("attn.out_norm.hook_normalized", "norm1"),
    goes_in("hook_attn_out", "drop_path1"),
    goes_in("hook_resid_mid", "norm2", where="ln2.hook_scale"),
    goes_in("hook_resid_mid", "mlp", "ffns.0"),
    comes_out("ln2.hook_normalized", "norm2"),
    comes_out("mlp.in_norm.hook_normalized", "mlp.norm"),
    goes_in("mlp.hook_pre", "mlp.act"),
    comes_out("mlp.hook_pre_linear", "mlp.fc1_x", "mlp.w1"),
    goes_in("mlp.hook_mid", "mlp.norm", where="mlp.norm.hook_scale"),
    goes_in("mlp.hook_mid", "mlp.fc2", "mlp.w2"),
    comes_out("mlp.norm.hook_normalized", "mlp.norm"),
    goes_in("mlp.hook_post", "mlp.fc2", "mlp.w2"),
    comes_out("mlp.out_norm.hook_normalized", "norm2"),
    goes_in("hook_mlp_out", "drop_path2"),
)

OUTSIDE: tuple[Seen, ...] = (
    goes_in("embedding.hook_patches", "patch_embed.norm"),
    comes_out("embedding.patch_norm.hook_normalized", "patch_embed.norm"),
    goes_in("hook_full_embed", "norm_pre", "pos_drop"),
    comes_out("hook_ln_pre", "norm_pre"),
    comes_out("hook_ln_final", "norm", "fc_norm", view=normalized_last, where=FINAL),
    comes_out("pooling.map.hook_k", "attn_pool.kv", view=pooled_half(0)),
    comes_out("pooling.map.hook_v", "attn_pool.kv", view=pooled_half(1)),
    comes_out("pooling.map.k_norm.hook_normalized", "attn_pool.k_norm", view=pooled_heads_first),
    goes_in("pooling.map.hook_z", "attn_pool.proj", view=pooled_heads),
    goes_in("pooling.map.hook_attn_out", "attn_pool.proj_drop"),
    comes_out("pooling.map.norm.hook_normalized", "attn_pool.norm"),
    goes_in("pooling.map.mlp.hook_pre", "attn_pool.mlp.act"),
    goes_in("pooling.map.mlp.hook_post", "attn_pool.mlp.fc2"),
    comes_out("pooling.map.hook_mlp_out", "attn_pool.mlp"),
    comes_out("pooling.map.hook_pooled", "attn_pool", view=one_token),
    goes_in("pre_logits", "head"),
)


def correspondence(module: Any) -> Correspondence:
    return Correspondence("blocks", IN_BLOCK, OUTSIDE, lambda source, images: source(images))
