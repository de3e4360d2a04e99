"""Small random models of transformers, and all that plain hooks on them can see."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor, nn

VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 32,
    "patch_size": 8,
}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"} | {"mlp_ratio": 2}
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "vocab_size": 30,
    "max_position_embeddings": 8,
    "eos_token_id": 2,
    "bos_token_id": 1,
}
BIASED = {"use_relative_position_bias": True}
SHARED = {"use_shared_relative_position_bias": True}
NAFLEX = {key: value for key, value in VIT.items() if key != "image_size"} | {"num_patches": 16}

# A class, its config, and what is changed of the small one. Together they have every part.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vit": ("ViTModel", "ViTConfig", VIT),
    "vit, no qkv bias": ("ViTModel", "ViTConfig", VIT | {"qkv_bias": False}),
    "vit, not square": ("ViTModel", "ViTConfig", VIT | {"image_size": (16, 32)}),
    "vit, patches not square": ("ViTModel", "ViTConfig", VIT | {"patch_size": (8, 16)}),
    "vit, gray": ("ViTModel", "ViTConfig", VIT | {"num_channels": 1}),
    "vit, gelu_new": ("ViTModel", "ViTConfig", VIT | {"hidden_act": "gelu_new"}),
    "vit, relu": ("ViTModel", "ViTConfig", VIT | {"hidden_act": "relu", "layer_norm_eps": 1e-3}),
    "vit classifier": ("ViTForImageClassification", "ViTConfig", VIT | {"num_labels": 5}),
    "vit, no classes": ("ViTForImageClassification", "ViTConfig", VIT | {"num_labels": 0}),
    "deit": ("DeiTModel", "DeiTConfig", VIT),
    "deit classifier": ("DeiTForImageClassification", "DeiTConfig", VIT | {"num_labels": 5}),
    "deit with teacher": (
        "DeiTForImageClassificationWithTeacher",
        "DeiTConfig",
        VIT | {"num_labels": 5},
    ),
    "mae": ("ViTMAEModel", "ViTMAEConfig", VIT | {"mask_ratio": 0.0}),
    "dinov2": ("Dinov2Model", "Dinov2Config", DINO),
    "dinov2, gated": ("Dinov2Model", "Dinov2Config", DINO | {"use_swiglu_ffn": True}),
    "dinov2, no mask token": ("Dinov2Model", "Dinov2Config", DINO | {"use_mask_token": False}),
    "dinov2 classifier": (
        "Dinov2ForImageClassification",
        "Dinov2Config",
        DINO | {"num_labels": 5, "qkv_bias": False},
    ),
    "dinov2, no classes": (
        "Dinov2ForImageClassification",
        "Dinov2Config",
        DINO | {"num_labels": 0},
    ),
    "dinov2 with registers": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        DINO | {"num_register_tokens": 3},
    ),
    "dinov2 with registers, gated classifier": (
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        DINO | {"num_labels": 5, "use_swiglu_ffn": True},
    ),
    "dinov3": ("DINOv3ViTModel", "DINOv3ViTConfig", VIT | {"num_register_tokens": 4}),
    "dinov3, gated": (
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        VIT | {"use_gated_mlp": True, "hidden_act": "silu", "image_size": (16, 32)},
    ),
    "dinov3, other biases": (
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        VIT
        | {"query_bias": False, "key_bias": True, "proj_bias": False, "mlp_bias": False}
        | {"rope_theta": 10.0},
    ),
    "beit": ("BeitModel", "BeitConfig", VIT | BIASED),
    "beit, one bias for all": ("BeitModel", "BeitConfig", VIT | SHARED),
    "beit, both biases": ("BeitModel", "BeitConfig", VIT | BIASED | SHARED),
    "beit, class token": (
        "BeitModel",
        "BeitConfig",
        VIT | {"use_mean_pooling": False, "use_absolute_position_embeddings": True},
    ),
    "beit classifier": (
        "BeitForImageClassification",
        "BeitConfig",
        VIT | BIASED | {"num_labels": 5, "layer_scale_init_value": 0.0},
    ),
    "clip": ("CLIPVisionModel", "CLIPVisionConfig", VIT),
    "clip, projected": (
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        VIT | {"projection_dim": 10, "hidden_act": "gelu"},
    ),
    "clip, both towers": (
        "CLIPModel",
        "CLIPConfig",
        {"vision_config": VIT, "text_config": TEXT, "projection_dim": 10},
    ),
    "clip classifier": (
        "CLIPForImageClassification",
        "CLIPConfig",
        {"vision_config": VIT, "text_config": TEXT, "num_labels": 5},
    ),
    "siglip": ("SiglipVisionModel", "SiglipVisionConfig", VIT),
    "siglip, no head": (
        "SiglipVisionModel",
        "SiglipVisionConfig",
        VIT | {"vision_use_head": False},
    ),
    "siglip, both towers": (
        "SiglipModel",
        "SiglipConfig",
        {"vision_config": VIT, "text_config": TEXT | {"projection_size": 24}},
    ),
    "siglip classifier": (
        "SiglipForImageClassification",
        "SiglipConfig",
        {"vision_config": VIT, "text_config": TEXT, "num_labels": 5},
    ),
    "siglip 2": ("Siglip2VisionModel", "Siglip2VisionConfig", NAFLEX),
    "siglip 2, both towers": (
        "Siglip2Model",
        "Siglip2Config",
        {"vision_config": NAFLEX, "text_config": TEXT | {"projection_size": 24}},
    ),
    "siglip 2 classifier": (
        "Siglip2ForImageClassification",
        "Siglip2Config",
        {"vision_config": NAFLEX, "text_config": TEXT, "num_labels": 5},
    ),
}


def random_model(case: str) -> Any:
    """A small model in which every weight is random, tables of positions included."""
    name, config, fields = CASES[case]
    return random_of(getattr(transformers, name)(getattr(transformers, config)(**fields)))


def whole(name: str) -> Any:
    """A model of a class as its config's defaults make it, without memory for its weights."""
    [config] = {config for kind, config, _ in CASES.values() if kind == name}
    with torch.device("meta"):
        return getattr(transformers, name)(getattr(transformers, config)())


@torch.no_grad()
def random_of(module: Any) -> Any:
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        parameter.normal_(std=0.3)
        if "norm" in name and name.endswith("weight"):
            parameter.add_(1)
    return module.double().eval()


def vision(module: Any) -> Any:
    return getattr(module.config, "vision_config", module.config)


def random_images(module: Any, count: int = 2) -> Tensor:
    config = vision(module)
    size = getattr(config, "image_size", 32)
    rows, columns = (size, size) if isinstance(size, int) else size
    dtype = next(module.parameters()).dtype
    return torch.randn(count, config.num_channels, rows, columns, dtype=torch.float64).to(dtype)


def as_patches(images: Tensor, patch: int) -> dict[str, Tensor]:
    """What SigLIP 2 takes: flat patches, none of them hidden, and the shape of the grid."""
    grid = images.shape[2] // patch, images.shape[3] // patch
    patches = images.unflatten(3, (grid[1], patch)).unflatten(2, (grid[0], patch))
    flat = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    return {
        "pixel_values": flat,
        "pixel_attention_mask": torch.ones(flat.shape[:2], dtype=torch.long),
        "spatial_shapes": torch.tensor([grid] * len(images)),
    }


@torch.no_grad()
def readout(module: Any, images: Tensor) -> Tensor:
    """The logits or embeddings of the source; of bare models, what theirs are read from."""
    assert vision(module)._attn_implementation == "sdpa"
    config = vision(module)
    inputs: dict[str, Any] = {"pixel_values": images}
    if config.model_type.startswith("siglip2"):
        inputs = as_patches(images, config.patch_size)
    if config.model_type == "vit_mae":
        rising = torch.arange(16.0).expand(len(images), -1)
        inputs["noise"] = rising
    if hasattr(module, "get_image_features"):
        return module.get_image_features(**inputs).pooler_output
    output = module(**inputs)
    for name in ("logits", "image_embeds"):
        if name in output:
            return output[name]
    if config.model_type in ("vit", "deit", "vit_mae"):
        return output.last_hidden_state[:, 0]
    pooled = output.pooler_output
    return output.last_hidden_state if pooled is None else pooled


# Our name of a point, where it is seen in a block, and whether it comes in or out there.
_SEEN = {
    "hook_resid_pre": ((".",), "input"),
    "ln1.hook_normalized": (("layernorm_before", "norm1", "layer_norm1"), "output"),
    "attn.hook_q": (("attention.q_proj", "self_attn.q_proj"), "output"),
    "attn.hook_k": (("attention.k_proj", "self_attn.k_proj"), "output"),
    "attn.hook_v": (("attention.v_proj", "self_attn.v_proj"), "output"),
    "attn.hook_z": (("attention.o_proj", "self_attn.out_proj"), "input"),
    "hook_resid_mid": (("layernorm_after", "norm2", "layer_norm2"), "input"),
    "ln2.hook_normalized": (("layernorm_after", "norm2", "layer_norm2"), "output"),
    "mlp.hook_pre": (("mlp.fc1", "mlp.gate_proj"), "output"),
    "mlp.hook_post": (("mlp.fc2", "mlp.down_proj"), "input"),
    "hook_resid_post": ((".",), "output"),
}
_LAYERS = ("layers", "encoder.layer", "encoder.layers", "model.layer")


def layers_of(module: Any) -> Any:
    bases = [
        module,
        *(getattr(module, n, None) for n in ("vision_model", module.base_model_prefix)),
    ]
    for base in bases:
        for path in _LAYERS:
            try:
                return base.get_submodule(path)
            except AttributeError:
                continue
    raise AssertionError(type(module))


def seen_inside(module: Any, images: Tensor) -> dict[str, Tensor]:
    """The readout and what plain hooks reach in every block, by our names and in our shapes."""
    seen: dict[str, Tensor] = {}
    handles = []
    n_heads = vision(module).num_attention_heads

    def note(name: str, end: str) -> Callable[..., None]:
        def hook(_part: nn.Module, inputs: tuple, output: Any) -> None:
            value = inputs[0] if end == "input" else output
            value = value[0] if isinstance(value, tuple) else value
            per_head = name.rsplit("_", 1)[-1] in "qkvz"
            value = value.unflatten(-1, (n_heads, -1)) if per_head else value
            seen[name] = value.detach().clone()

        return hook

    for layer, block in enumerate(layers_of(module)):
        parts = dict(block.named_modules()) | {".": block}
        for name, (paths, end) in _SEEN.items():
            for part in (parts[path] for path in paths if path in parts):
                hook = note(f"blocks.{layer}.{name}", end)
                handles.append(part.register_forward_hook(hook))
    seen["hook_post_head_pre_normalize"] = readout(module, images)
    for handle in handles:
        handle.remove()
    return seen
