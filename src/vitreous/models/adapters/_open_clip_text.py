"""What a text tower of open_clip is made of, whether it is a module or built into a `CLIP`."""

import dataclasses
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from vitreous._optional import needs
from vitreous.models._part_configs import PoolingConfig
from vitreous.models._text_config import HookedTextConfig
from vitreous.models.adapters._open_clip_blocks import (
    block_place,
    blocks_fields,
    norm_of,
    parts,
    scale_heads,
)
from vitreous.models.adapters._parts import check_untouched, exactly, unsupported


@dataclass(frozen=True)
class TextTower:
    """The parts of a text tower, wherever they are.

    Attributes:
        module: What has them: a `TextTransformer`, or a `CLIP`.
        pool_type: Which token is read.
        eos_id: The token that `pool_type="eos"` looks for.
        cls_emb: The class token behind each text.
        pad_id: The token that nobody attends to; None where all are attended to.
        shifts_padding: Whether the padding's places are those of the tokens in front of it.
    """

    module: Any
    pool_type: str
    eos_id: int
    cls_emb: Any = None
    pad_id: int | None = None
    shifts_padding: bool = False


def find_text(module: Any) -> TextTower:
    """The text tower in a `TextTransformer` or in a whole model.

    Raises:
        UnsupportedModelError: A tower of Hugging Face's, or a class that isn't open_clip's own.
    """
    if type(module) is clip_classes().CLIP:  # which has no text tower, but the parts of one
        check_untouched(module, "encode_text")
        return TextTower(module, module.text_pool_type, module.text_eos_id)
    tower = getattr(module, "text", module)
    if _is_hugging_face(tower):
        refuse_hugging_face(type(tower.transformer).__name__)
    exactly(tower, "text", parts().TextTransformer)
    check_untouched(tower, "_embeds", "_build_additive_mask")
    hides = tower.use_pad_mask or tower.cls_emb is not None
    return TextTower(
        tower,
        tower.pool_type,
        tower.eos_id,
        tower.cls_emb,
        tower.pad_id if hides else None,
        tower.cls_emb is not None and not tower.correct_cls_mask,
    )


def is_text(module: Any) -> bool:
    """Whether a module is a text tower alone."""
    return isinstance(module, parts().TextTransformer) or _is_hugging_face(module)


def _is_hugging_face(tower: Any) -> bool:
    return any(base.__name__ == "HFTextEncoder" for base in type(tower).__mro__)


def refuse_hugging_face(name: str) -> NoReturn:
    raise unsupported(f"A text tower must be open_clip's own; got one of Hugging Face's, `{name}`")


def check_whole(module: Any) -> None:
    """Refuses what isn't a model of two towers of open_clip's own, or was changed.

    Raises:
        UnsupportedModelError: It says which part.
    """
    coca = needs("open_clip.coca_model", extra="clip", feature='load("open_clip:...")').CoCa
    exactly(module, "module", clip_classes().CLIP, clip_classes().CustomTextCLIP, coca)
    check_untouched(module, "encode_image", "encode_text", "get_logits")


def clip_classes() -> Any:
    """Where open_clip defines models of two towers."""
    return needs("open_clip.model", extra="clip", feature='load("open_clip:...")')


def read_text_config(tower: TextTower) -> HookedTextConfig:
    """What a text tower is made of; it may lie on the meta device.

    Raises:
        UnsupportedModelError: A part that `HookedTextTransformer` lacks.
    """
    module, has_cls = tower.module, tower.cls_emb is not None
    words = exactly(module.token_embedding, "token_embedding", nn.Embedding)
    if words.max_norm is not None:
        raise unsupported("Embedded tokens must be left as they are; got a `max_norm`")
    blocks = blocks_fields(module.transformer)
    is_causal = _is_causal(module.attn_mask)
    blocks["attention"] = dataclasses.replace(blocks["attention"], causal=is_causal)
    projection = module.text_projection
    return HookedTextConfig(
        n_layers=len(module.transformer.resblocks),
        d_model=words.embedding_dim,
        vocab_size=words.num_embeddings,
        n_ctx=len(module.positional_embedding) - has_cls,
        cls_token=has_cls,
        eot_token=tower.eos_id if tower.pool_type == "eos" and not has_cls else None,
        pad_token=tower.pad_id,
        shifts_padding=tower.shifts_padding,
        n_classes=None if projection is None else _width(projection),
        head_bias=getattr(projection, "bias", None) is not None,
        pooling=_pooling(tower),
        **blocks,
    )


_KINDS: dict[str, Any] = {
    "first": "first", "last": "last", "argmax": "eot", "eos": "eot", "none": "none"
}  # fmt: skip


def _pooling(tower: TextTower) -> PoolingConfig:
    norm = norm_of(tower.module.ln_final, "ln_final")
    if tower.cls_emb is not None:  # it is what is read, whatever `pool_type` says
        return PoolingConfig("last", norm, norm_first=False)
    return PoolingConfig(_KINDS[tower.pool_type], norm)


def _is_causal(mask: Any) -> bool:
    if mask is None:
        return False
    causal = torch.full_like(mask, float("-inf")).triu(1)
    if not mask.is_meta and not torch.equal(mask, causal):
        raise unsupported("`attn_mask` must hide what comes later, and nothing else")
    return True


def _width(projection: Any) -> int:
    if isinstance(projection, nn.Parameter):
        return projection.shape[1]
    return exactly(projection, "text_projection", nn.Linear).out_features


def text_weights(tower: TextTower, cfg: HookedTextConfig) -> dict[str, Tensor]:
    """The tower's weights under our names."""
    module = tower.module
    state = {f"transformer.{name}": x for name, x in module.transformer.state_dict().items()}
    tensors = {block_place(name): tensor for name, tensor in state.items()}
    scale_heads(tensors, cfg)
    tensors["embedding.tokens"] = module.token_embedding.weight
    tensors["embedding.pos"] = module.positional_embedding
    if tower.cls_emb is not None:
        tensors["embedding.cls_token"] = tower.cls_emb[None, None]
    norm = module.ln_final.state_dict()
    tensors |= {f"ln_final.{name[0]}": tensor for name, tensor in norm.items()}
    projection = module.text_projection
    if isinstance(projection, nn.Parameter):
        tensors["head.linear.weight"] = projection.T
    elif projection is not None:
        state = projection.state_dict()
        tensors |= {f"head.linear.{name}": tensor for name, tensor in state.items()}
    return {name: tensor.detach() for name, tensor in tensors.items()}
