"""open_clip's tokenizers, as a text tower wants one."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from vitreous._optional import needs


class OpenClipTokenizer:
    """One of open_clip's tokenizers, at the context of a model.

    Texts are cleaned, cut and filled up as open_clip does it.
    """

    def __init__(self, source: Any, n_ctx: int) -> None:
        self.source, self.n_ctx = source, n_ctx

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts tokens"]:
        return self.source(list(texts), self.n_ctx)

    def decode(self, token: int) -> str:
        # What isn't its own byte pairs is a tokenizer of transformers.
        return getattr(self.source, "tokenizer", self.source).decode([token])


def is_tokenizer(source: Any) -> bool:
    """Whether it is a tokenizer of open_clip's."""
    kinds = needs("open_clip.tokenizer", extra="clip", feature='load("open_clip:...")')
    return isinstance(
        source, kinds.SimpleTokenizer | kinds.HFTokenizer | kinds.SigLipTokenizer
    )
