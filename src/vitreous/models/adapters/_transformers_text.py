"""What a text tower of transformers is made of: those of CLIP, SigLIP and SigLIP 2.

CLIP's is causal and reads what ends a text, so that neither the filling behind it nor an
`attention_mask` that hides the filling changes anything. SigLIP's attend to the filling, as they
were trained: what comes out is what the source gives without an `attention_mask`.
"""

from typing import Any

from torch import Tensor, nn

from vitreous.models._part_configs import AttentionConfig, NormConfig, PoolingConfig
from vitreous.models._text_config import HookedTextConfig
from vitreous.models.adapters._parts import unsupported
from vitreous.models.adapters._transformers_config import (
    activation_name,
    check_class,
    check_parts,
)
from vitreous.models.adapters._transformers_weights import count_layers

# The classes with a text tower, and those of them that have an image tower too.
WHOLE = ("CLIPModel", "SiglipModel", "Siglip2Model")
TEXTS = (
    *("CLIPTextModel", "CLIPTextModelWithProjection", "SiglipTextModel", "Siglip2TextModel"),
    *WHOLE,
)
# By type of model, the classes of its text tower: plain, and with CLIP's projection.
CLASSES = {
    "clip": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "clip_text_model": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "siglip": ("SiglipTextModel", None),
    "siglip_text_model": ("SiglipTextModel", None),
    "siglip2": ("Siglip2TextModel", None),
    "siglip2_text_model": ("Siglip2TextModel", None),
}


def is_text(module: Any) -> bool:
    """Whether a module is a text tower alone, or derives from one."""
    names = {base.__name__ for base in type(module).__mro__}
    return bool(names & (set(TEXTS) - set(WHOLE)))


def text_config(module: Any) -> Any:
    """The configuration of the text tower, or of the whole where there is nothing else."""
    return getattr(module.config, "text_config", module.config)


def text_tower(module: Any) -> Any:
    """The text tower, without the projection behind it."""
    return getattr(module, "text_model", module)


def check_text(module: nn.Module) -> None:
    """Refuses a text tower that is not of a known class, or was changed inside.

    Raises:
        UnsupportedModelError: It says which part.
    """
    check_class(module, TEXTS, "A text tower")
    others = ("vision_model", "visual_projection")
    parts = [(at, part) for at, part in module.named_modules() if not at.startswith(others)]
    check_parts(type(module).__name__, parts[1:], text_config(module))


def read_text_config(module: Any, weights: dict[str, Tensor]) -> HookedTextConfig:
    """What a text tower is made of.

    Args:
        module: Of a known class; it may lie on the meta device.
        weights: Its weights by place.

    Raises:
        UnsupportedModelError: A part that `HookedTextTransformer` lacks.
    """
    config, tower = text_config(module), text_tower(module)
    n_layers = count_layers(weights)
    if not n_layers:
        raise unsupported("There must be at least one block; got none")
    head, norm = weights.get("head.linear.weight"), NormConfig("layer", config.layer_norm_eps)
    is_clip = hasattr(tower, "eos_token_id")
    vocab_size, d_model = weights["embedding.tokens"].shape
    return HookedTextConfig(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=config.num_attention_heads,
        d_mlp=len(weights["blocks.0.mlp.fc_in.weight"]),
        act_name=activation_name(config.hidden_act),
        vocab_size=vocab_size,
        n_ctx=len(weights["embedding.pos"]),
        eot_token=_end_of_text(tower) if is_clip else None,
        n_classes=None if head is None else len(head),
        head_bias="head.linear.bias" in weights,
        norm=norm,
        attention=AttentionConfig(causal=is_clip),
        pooling=PoolingConfig("eot" if is_clip else "last", norm),
    )


def _end_of_text(tower: Any) -> int | None:
    """The token that is read; configs of old say 2, and then the highest number is read."""
    end = tower.eos_token_id
    if not isinstance(end, int) or end < 0:
        raise unsupported(f"`eos_token_id` must be one token; got {end!r}")
    return None if end == 2 else end
