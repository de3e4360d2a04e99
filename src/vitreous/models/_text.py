"""The glass text transformer."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous.data import ClassNames
from vitreous.models._text_config import HookedTextConfig
from vitreous.models._text_embedding import TextEmbedding
from vitreous.models._text_layout import TextLayout
from vitreous.models._transformer import GlassTransformer


@runtime_checkable
class Tokenizer(Protocol):
    """From texts to token ids and back, as the source library does it."""

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts tokens"]:
        """Ids of all texts, filled up to one length."""
        ...

    def decode(self, token: int) -> str:
        """What one id stands for."""
        ...


class HookedTextTransformer(GlassTransformer):
    """A text transformer with every intermediate value on show; the sibling of `HookedViT`.

    It has the same hook points, cache, targets, interventions and checks. It takes token ids,
    `[batch tokens]`, which `to_tokens` makes of texts; its outputs are an embedding, or logits.

    Attributes:
        cfg: Shape and parts.
        layout: Where tokens are, in a text as long as the context.
        labels: Names of the outputs; None where they have none.
        tokenizer: From texts to ids; None where nobody knows.
        card: What is known of the weights: name, source, hash.
        means: Average activations, for mean ablation.
    """

    takes: ClassVar = "texts"
    format: ClassVar = "vitreous-text"
    cfg: HookedTextConfig
    layout: TextLayout
    embedding: TextEmbedding

    def __init__(
        self,
        cfg: HookedTextConfig,
        *,
        labels: ClassNames | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        layout = TextLayout(
            cfg.n_tokens, int(cfg.cls_token), reads_all=cfg.pooling.kind in ("mean", "none")
        )
        super().__init__(cfg, TextEmbedding(cfg), layout, None)
        self.labels, self.tokenizer = labels, tokenizer

    # ---- texts

    def to_tokens(self, texts: str | Sequence[str]) -> Int[Tensor, "texts tokens"]:
        """Token ids of one text or many, on the model's device."""
        if self.tokenizer is None:
            raise ValueError(
                "`to_tokens` needs to know how texts become ids; got a model without `tokenizer`. "
                "Pass token ids, or set `model.tokenizer`."
            )
        several = [texts] if isinstance(texts, str) else list(texts)
        return self.tokenizer.encode(several).to(self.placement.device)

    def to_str_tokens(self, text: str | Int[Tensor, " tokens"]) -> list[str]:
        """What each token of one text stands for."""
        tokens = self.to_tokens(text)[0] if isinstance(text, str) else text
        if self.tokenizer is None:
            return [str(token) for token in tokens.tolist()]
        return [self.tokenizer.decode(token) for token in tokens.tolist()]

    # ---- where tokens are

    def layout_for(self, inputs: Int[Tensor, "batch words"]) -> TextLayout:
        """Where tokens are in a pass on these ids, what is read of each and what is hidden."""
        self._require_tokens(inputs)
        n = inputs.shape[1] + self.cfg.cls_token
        read = self._ends(inputs) if self.cfg.pooling.kind == "eot" else self._read(len(inputs), n)
        return TextLayout(
            n, int(self.cfg.cls_token), read, self._hidden(inputs), self.layout.reads_all
        )

    def layout_of_stream(self, resid: Float[Tensor, "batch tokens d_model"]) -> TextLayout:
        """The layout of a stream, which doesn't tell where texts end and what is padding."""
        if self.cfg.pad_token is not None:
            raise ValueError(
                "The padding of each text must be known; got a stream alone. Pass "
                "`layout=model.layout_for(tokens)` of the texts that it came from."
            )
        n = resid.shape[1]
        read = None if self.cfg.pooling.kind == "eot" else self._read(len(resid), n)
        return TextLayout(n, int(self.cfg.cls_token), read, None, self.layout.reads_all)

    def layout_from_json(self, plain: dict[str, Any]) -> TextLayout:
        return TextLayout.from_json(plain, self.placement.device)

    def random_inputs(self, count: int, generator: torch.Generator) -> Tensor:
        shape = (count, self.cfg.n_ctx)
        tokens = torch.randint(self.cfg.vocab_size, shape, generator=generator)
        if self.cfg.pad_token is not None:  # at the end, since a text begins with something
            is_padding = torch.arange(self.cfg.n_ctx) > self.cfg.n_ctx // 2
            other = (self.cfg.pad_token + 1) % self.cfg.vocab_size
            tokens = tokens.where(tokens != self.cfg.pad_token, other)
            tokens = tokens.where(~is_padding, self.cfg.pad_token)
        return tokens.to(self.placement.device)

    def like(self, cfg: HookedTextConfig) -> Self:
        return type(self)(cfg, labels=self.labels, tokenizer=self.tokenizer)

    def describe(self) -> dict[str, Any]:
        labels = None if self.labels is None else self.labels.to_json()
        return {"config": self.cfg.to_dict(), "labels": labels}

    @classmethod
    def described(cls, about: dict[str, Any]) -> Self:
        """An untrained model, without the tokenizer, which no description holds."""
        labels = about.get("labels")
        return cls(
            HookedTextConfig.from_dict(about["config"]),
            labels=None if labels is None else ClassNames.from_json(labels),
        )

    def _read(self, count: int, n_tokens: int) -> Int[Tensor, " batch"] | None:
        """The token that is read of each text, where its place is the same in all."""
        places = {"first": 0, "last": n_tokens - 1}
        place = places.get(self.cfg.pooling.kind)
        return None if place is None else torch.full((count,), place, device=self.placement.device)

    def _ends(self, tokens: Int[Tensor, "batch words"]) -> Int[Tensor, " batch"]:
        """The token that ends each text."""
        if self.cfg.eot_token is None:
            return tokens.argmax(-1)
        return (tokens == self.cfg.eot_token).int().argmax(-1)

    def _hidden(self, tokens: Int[Tensor, "batch words"]) -> Tensor | None:
        """The tokens that nobody attends to."""
        if self.cfg.pad_token is None:
            return None
        hidden = tokens == self.cfg.pad_token
        if not self.cfg.cls_token:
            return hidden
        seen = hidden.new_zeros(len(tokens), 1)
        return torch.cat([seen, hidden] if self.cfg.shifts_padding else [hidden, seen], 1)

    def _require_tokens(self, tokens: Any) -> None:
        is_integer = isinstance(tokens, Tensor) and tokens.dtype in (torch.int32, torch.int64)
        if not is_integer or tokens.ndim != 2 or not 0 < tokens.shape[1] <= self.cfg.n_ctx:
            got = type(tokens).__name__
            if isinstance(tokens, Tensor):
                got = f"{str(tokens.dtype).removeprefix('torch.')} of shape {list(tokens.shape)}"
            raise ValueError(
                f"Texts must be token ids [texts, up to {self.cfg.n_ctx} tokens]; got {got}. "
                "Use `model.to_tokens(texts)`."
            )
