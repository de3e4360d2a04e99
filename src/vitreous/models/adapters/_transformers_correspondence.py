"""Where the models of transformers have the values of our hook points."""

from typing import Any

from torch import Tensor, nn

from vitreous.models.adapters._correspondence import (
    FINAL,
    Correspondence,
    Seen,
    below,
    by_heads,
    comes_out,
    goes_in,
    normalized_last,
    one_token,
    third,
)
from vitreous.models.adapters._transformers_config import vision_config
from vitreous.models.adapters._transformers_text import is_text
from vitreous.models.adapters._transformers_video_correspondence import (
    DIVIDED,
    OUTSIDE,
    frame_first,
)
from vitreous.models.adapters._transformers_videos import clips_of, read_token

_ATTENTION: tuple[Seen, ...] = (
    comes_out("ln1.hook_normalized", "layernorm_before", "norm1", "layer_norm1"),
    *(
        comes_out(f"attn.hook_{x}", f"attention.{x}_proj", f"self_attn.{x}_proj", view=by_heads)
        for x in "qkv"
    ),
    *(
        comes_out(f"attn.hook_{x}", f"attention.attention.{name}", view=by_heads)
        for x, name in (("q", "query"), ("k", "key"), ("v", "value"))
    ),
    *(
        comes_out(f"attn.hook_{x}", "attention.attention.qkv", view=third(place))
        for place, x in enumerate("qkv")
    ),
    goes_in("attn.hook_z", "attention.o_proj", "self_attn.out_proj", view=by_heads),
    goes_in("attn.hook_z", "attention.output.dense", view=by_heads),
    # BEiT has one drop path, behind LayerScale, for attention and then for the MLP.
    goes_in("hook_attn_out", "drop_path", call=0),
    comes_out("hook_attn_out", "layer_scale1", "attention", "self_attn", unless="lambda_1"),
)
_MLP: tuple[Seen, ...] = (
    goes_in("hook_resid_mid", "layernorm_after", "norm2", "layer_norm2"),
    comes_out("ln2.hook_normalized", "layernorm_after", "norm2", "layer_norm2"),
    comes_out("mlp.hook_pre", "mlp.fc1", "mlp.gate_proj", "intermediate.dense"),
    comes_out("mlp.hook_pre", "mlp.up_proj", unless="mlp.gate_proj"),
    comes_out("mlp.hook_pre_linear", "mlp.up_proj"),
    goes_in("mlp.hook_mid", "mlp.down_proj"),
    goes_in("mlp.hook_post", "mlp.fc2", "mlp.down_proj", "output.dense"),
    goes_in("hook_mlp_out", "drop_path", call=1),
    comes_out("hook_mlp_out", "layer_scale2", "mlp", "output.dense", unless="lambda_2"),
)
IN_BLOCK = (*_ATTENTION, *_MLP)

# Below the tower.
_TOWER: tuple[Seen, ...] = (
    comes_out("hook_full_embed", "embeddings"),
    comes_out("hook_ln_pre", "pre_layrnorm"),
    comes_out(
        "hook_ln_final",
        *("layernorm", "norm", "post_layernorm", "pooler.layernorm"),
        view=normalized_last,
        where=FINAL,
    ),
    comes_out("pooling.map.hook_attn_out", "head.attention"),
    comes_out("pooling.map.norm.hook_normalized", "head.layernorm"),
    comes_out("pooling.map.mlp.hook_pre", "head.mlp.fc1"),
    goes_in("pooling.map.mlp.hook_post", "head.mlp.fc2"),
    comes_out("pooling.map.hook_mlp_out", "head.mlp"),
    comes_out("pooling.map.hook_pooled", "head", view=one_token),
)
# Below the model.
_HEAD: tuple[Seen, ...] = (
    comes_out("hook_ln_final", "fc_norm", view=normalized_last, where=FINAL),
    goes_in("pre_logits", "classifier", "visual_projection"),
)

_LAYERS = ("layers", "encoder.layers", "encoder.layer", "model.layer")


# Below a text tower.
_TEXT_TOWER: tuple[Seen, ...] = (
    comes_out("hook_embed", "embeddings.token_embedding"),
    comes_out("hook_full_embed", "embeddings"),
    comes_out("hook_ln_final", "final_layer_norm", where=FINAL),
    goes_in("pre_logits", "head"),
)


def correspondence(module: Any, tower: str | None = None) -> Correspondence:
    is_whole = hasattr(module, "vision_model")
    if is_text(module) or (is_whole and tower == "text"):
        return _of_texts(module)
    return _of_images(module)


def _of_texts(module: Any) -> Correspondence:
    tower = "text_model" if hasattr(module, "text_model") else ""
    outside = (*below(tower, _TEXT_TOWER), goes_in("pre_logits", "text_projection"))
    blocks = f"{tower}.encoder.layers".lstrip(".")
    return Correspondence(blocks, IN_BLOCK, outside, text_readout, prepare)


def text_readout(module: Any, tokens: Tensor) -> Tensor:
    """The embedding that the adapter says a text tower gives."""
    if hasattr(module, "get_text_features"):
        return module.get_text_features(tokens).pooler_output
    output = module(tokens)
    is_projected = "text_embeds" in output
    return output.text_embeds if is_projected else output.pooler_output


def _of_images(module: Any) -> Correspondence:
    tower, blocks = _tower(module)
    if module.config.model_type == "timesformer":
        is_divided = module.config.attention_type == "divided_space_time"
        return Correspondence(
            f"{tower}.{blocks}".lstrip("."),
            (*(DIVIDED if is_divided else _ATTENTION), *_MLP),
            (*below(tower, OUTSIDE), *_HEAD),
            readout,
            prepare,
            frame_first,
        )
    return Correspondence(
        f"{tower}.{blocks}".lstrip("."),
        IN_BLOCK,
        (*below(tower, _TOWER), *_HEAD),
        readout,
        prepare,
    )


def _tower(module: Any) -> tuple[str, str]:
    """Where the image tower is, and below it its list of blocks."""
    for tower in ("", "vision_model", module.base_model_prefix):
        for blocks in _LAYERS:
            try:
                module.get_submodule(f"{tower}.{blocks}".lstrip("."))
            except AttributeError:
                continue
            return tower, blocks
    raise AssertionError(f"{type(module).__name__} was converted, and has no blocks")


def prepare(module: Any) -> None:
    """Fused attention, since the explicit one rounds to float32; and no patch is hidden."""
    for part in module.modules():
        config: Any = getattr(part, "config", None)
        if hasattr(config, "_attn_implementation"):
            config._attn_implementation = "sdpa"
        if hasattr(config, "mask_ratio"):
            config.mask_ratio = 0.0


def readout(module: Any, images: Tensor) -> Tensor:
    """The logits or embeddings that the adapter says the class gives."""
    config = vision_config(module)
    inputs: dict[str, Any] = {"pixel_values": clips_of(module, images)}
    if hasattr(config, "num_patches"):
        inputs = _flat_patches(images, config.patch_size)
    if hasattr(config, "mask_ratio"):
        inputs["noise"] = _rising_noise(module, images)
    if hasattr(module, "get_image_features"):
        return module.get_image_features(**inputs).pooler_output
    output = module(**inputs)
    for name in ("logits", "image_embeds"):
        if name in output:
            return output[name]
    if config.model_type in _TOKENS:  # whose poolers are of pretraining
        return read_token(output, config)
    pooled = output.pooler_output
    return output.last_hidden_state if pooled is None else pooled


# Types of models whose bare class gives tokens.
_TOKENS = ("vit", "deit", "vit_mae", "vivit", "videomae", "timesformer")


def _flat_patches(images: Tensor, size: int) -> dict[str, Tensor]:
    """What SigLIP 2 takes: flat patches with the color last, and the shape of the grid."""
    grid = images.shape[2] // size, images.shape[3] // size
    patches = images.unflatten(3, (grid[1], size)).unflatten(2, (grid[0], size))
    flat = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    shapes = images.new_tensor([grid] * len(images)).long()
    return {
        "pixel_values": flat,
        "pixel_attention_mask": flat.new_ones(flat.shape[:2]).long(),
        "spatial_shapes": shapes,
    }


def _rising_noise(module: nn.Module, images: Tensor) -> Tensor:
    """Noise by which ViT-MAE keeps its patches in order."""
    size: Any = vision_config(module).patch_size
    rows, columns = (size, size) if isinstance(size, int) else size
    count = (images.shape[2] // rows) * (images.shape[3] // columns)
    rising: Tensor = images.new_tensor(range(count))
    return rising.expand(len(images), -1)
