"""Tokenizers of transformers, as a text tower wants one."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from vitreous.models._text_config import HookedTextConfig
from vitreous.models.adapters._transformers_config import transformers_module


class TransformersTokenizer:
    """A tokenizer of transformers, at the context of a model.

    Texts are cut, and filled up to the whole context, as SigLIP was trained.
    """

    def __init__(self, source: Any, n_ctx: int) -> None:
        self.source, self.n_ctx = source, n_ctx

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts tokens"]:
        return self.source(
            list(texts),
            padding="max_length",
            max_length=self.n_ctx,
            truncation=True,
            return_tensors="pt",
        ).input_ids

    def decode(self, token: int) -> str:
        return self.source.decode([token])


def tokenizer_in(processor: Any) -> Any:
    """The tokenizer that a processor has or is; None where it has none."""
    base = transformers_module().PreTrainedTokenizerBase
    found = getattr(processor, "tokenizer", processor)
    return found if isinstance(found, base) else None


def tokenizer_of(source: Any, cfg: HookedTextConfig) -> TransformersTokenizer | None:
    """A tokenizer of transformers for a model; None for None.

    Raises:
        ValueError: It gives ids that the model has no tokens for.
    """
    if source is None:
        return None
    if len(source) > cfg.vocab_size:
        raise ValueError(
            f"A tokenizer must give ids of the model's {cfg.vocab_size} tokens; got one with "
            f"{len(source)}. Pass the tokenizer of the model's own repository."
        )
    return TransformersTokenizer(source, cfg.n_ctx)
