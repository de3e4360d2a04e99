"""Small random text towers of transformers, alone and beside an image tower."""

from typing import Any

import torch
import transformers
from torch import Tensor, nn

from tests.parity.transformers_models import NAFLEX, VIT, random_of

TEXT = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "vocab_size": 30, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 29,
    "pad_token_id": 0,
}  # fmt: skip
OLD = {"eos_token_id": 2}  # of configs that say so wrongly: then the highest number is read
SIGLIP = TEXT | {"projection_size": 16}


def both(vision: dict[str, Any], text: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"vision_config": vision, "text_config": text, **further}


# A class, its config, and what is changed of the small one. Together they have every part.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clip": ("CLIPTextModel", "CLIPTextConfig", TEXT),
    "clip, the highest number": ("CLIPTextModel", "CLIPTextConfig", TEXT | OLD),
    "clip, gelu": ("CLIPTextModel", "CLIPTextConfig", TEXT | {"hidden_act": "gelu"}),
    "clip, projected": (
        "CLIPTextModelWithProjection", "CLIPTextConfig", TEXT | {"projection_dim": 10}
    ),
    "clip, both towers": ("CLIPModel", "CLIPConfig", both(VIT, TEXT, projection_dim=10)),
    "clip, both towers, the highest number": (
        "CLIPModel", "CLIPConfig", both(VIT, TEXT | OLD, projection_dim=10)
    ),
    "siglip": ("SiglipTextModel", "SiglipTextConfig", TEXT),
    "siglip, other width": ("SiglipTextModel", "SiglipTextConfig", SIGLIP),
    "siglip, both towers": (
        "SiglipModel", "SiglipConfig", both(VIT, TEXT | {"projection_size": 24})
    ),
    "siglip 2": ("Siglip2TextModel", "Siglip2TextConfig", SIGLIP),
    "siglip 2, both towers": (
        "Siglip2Model", "Siglip2Config", both(NAFLEX, TEXT | {"projection_size": 24})
    ),
}  # fmt: skip


def random_model(case: str) -> Any:
    """A small model in which every weight is random."""
    name, config, fields = CASES[case]
    return random_of(getattr(transformers, name)(getattr(transformers, config)(**fields)))


def whole(name: str) -> Any:
    """A model of a class as its config's defaults make it, without memory for its weights."""
    [config] = {config for kind, config, _ in CASES.values() if kind == name}
    with torch.device("meta"):
        return getattr(transformers, name)(getattr(transformers, config)())


def random_texts(module: Any) -> Tensor:
    """Token ids of texts that end at the last place, in the middle, and soon, and are filled up."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 29, (3, 8), generator=generator)
    for row, last in zip(tokens, (7, 4, 2), strict=True):
        row[last] = 29
        row[last + 1 :] = 0
    return tokens


def text_tower(module: Any) -> nn.Module:
    return getattr(module, "text_model", module)


def layers_of(module: Any) -> Any:
    """The parts whose outputs are the residual stream."""
    return text_tower(module).encoder.layers


@torch.no_grad()
def readout(module: Any, tokens: Tensor, **inputs: Tensor) -> Tensor:
    """The embedding of the source; of a tower without projection, what is pooled."""
    assert text_tower(module).config._attn_implementation == "sdpa"
    if hasattr(module, "get_text_features"):
        return module.get_text_features(tokens, **inputs).pooler_output
    output = module(tokens, **inputs)
    return output.pooler_output if "text_embeds" not in output else output.text_embeds
