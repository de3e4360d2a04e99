"""open_clip's tokenizers, as a text tower wants one."""

import warnings
from collections.abc import Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from vitreous._optional import needs
from vitreous.models._text_config import HookedTextConfig
from vitreous.models.adapters._network import answers, hub_offline
from vitreous.models.adapters._open_clip_source import Source
from vitreous.models.adapters._options import LoadOptions


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
    kinds = _library("open_clip.tokenizer")
    return isinstance(source, kinds.SimpleTokenizer | kinds.HFTokenizer | kinds.SigLipTokenizer)


def tokenizer_of(source: Any, cfg: HookedTextConfig) -> OpenClipTokenizer | None:
    """A tokenizer of open_clip's for a model; None for None.

    Raises:
        ValueError: It gives ids that the model has no tokens for.
    """
    if source is None:
        return None
    vocabulary = getattr(source, "tokenizer", None)
    size = source.vocab_size if vocabulary is None else len(vocabulary)
    if size > cfg.vocab_size:
        raise ValueError(
            f"A tokenizer must give ids of the model's {cfg.vocab_size} tokens; got one with "
            f"{size}. Pass `open_clip.get_tokenizer` of the model's own architecture."
        )
    return OpenClipTokenizer(source, cfg.n_ctx)


def tokenizer_of_source(
    source: Source, options: LoadOptions, cfg: HookedTextConfig
) -> OpenClipTokenizer | None:
    """open_clip's own tokenizer for a model; None, with a warning, where it can't be had."""
    is_bundled = not source.text.get("hf_tokenizer_name")
    hub = _library("huggingface_hub")
    offline = options.local_files_only or not (is_bundled or answers(hub.constants.ENDPOINT))
    try:
        with hub_offline(hub, offline):
            get = _library("open_clip").get_tokenizer
            return tokenizer_of(get(source.identifier, cache_dir=options.cache_dir), cfg)
    except Exception as error:  # of the hub, of transformers, of the file system, or a wrong one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"The tokenizer of {source.identifier} can't be had ({reason}). Pass token ids, or set "
            "`model.tokenizer`.",
            stacklevel=2,
        )
        return None


def _library(module: str) -> Any:
    return needs(module, extra="clip", feature='load("open_clip:...")')
