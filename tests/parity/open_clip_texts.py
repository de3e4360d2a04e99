"""open_clip's own text towers made small, random and comparable: the source of a parity test."""

import copy
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from tests.parity.open_clip_models import all_names, randomized

VISION = {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32}
_WORDS = 40  # tokens that there are


def names() -> list[str]:
    """Every configuration whose text tower is open_clip's own."""
    return [
        n for n in all_names() if "hf_model_name" not in open_clip.get_model_config(n)["text_cfg"]
    ]


def hugging_face_names() -> list[str]:
    """The others: their text towers are made by transformers, from a download."""
    return sorted(set(all_names()) - set(names()))


def whole(name: str) -> Any:
    """A tower of full size, without memory for its weights."""
    about = open_clip.get_model_config(name)
    with torch.device("meta"):
        return open_clip.model._build_text_tower(
            about["embed_dim"], about["text_cfg"], about.get("quick_gelu", False)
        )


def random_tower(name: str) -> nn.Module:
    """A tower in float64 in which every weight is random: two blocks, four heads at most.

    Where open_clip builds the tower into its `CLIP`, it is one with a small image tower.
    """
    about = copy.deepcopy(open_clip.get_model_config(name))
    text, quick = about["text_cfg"], about.get("quick_gelu", False)
    heads = min(4, text.get("heads", 8))
    text["width"] = heads * (text.get("width", 512) // text.get("heads", 8))
    text |= {"layers": 2, "heads": heads, "vocab_size": _WORDS}
    if about.get("custom_text"):
        return randomized(open_clip.model._build_text_tower(about["embed_dim"], text, quick))
    return randomized(open_clip.CLIP(about["embed_dim"], VISION, text, quick))


def random_texts(module: Any) -> Tensor:
    """Token ids of texts that end at the last place, in the middle, and soon."""
    n_ctx, pool = module.context_length, getattr(module, "pool_type", "argmax")
    end = module.eos_id if pool == "eos" else module.vocab_size - 1
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, module.vocab_size - 1, (3, n_ctx), generator=generator)
    for row, last in zip(tokens, (n_ctx - 1, n_ctx // 2, 2), strict=True):
        row[last] = end
        row[last + 1 :] = 0
    return tokens


def blocks(module: Any) -> Any:
    """The parts whose outputs are the residual stream."""
    return module.transformer.resblocks


def embedding(module: Any, tokens: Tensor) -> Tensor:
    """What comes out of a tower, or of one that is built into its `CLIP`."""
    output = module.encode_text(tokens) if hasattr(module, "visual") else module(tokens)
    return output[0] if isinstance(output, tuple) else output
