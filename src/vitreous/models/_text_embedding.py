"""From token ids to the first residual stream."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vitreous.models._base_embedding import BaseEmbedding
from vitreous.models._positions import Layout
from vitreous.models._text_config import HookedTextConfig


class TextEmbedding(BaseEmbedding):
    """One vector per token of the vocabulary, a class token behind them, and positions."""

    def __init__(self, config: HookedTextConfig) -> None:
        super().__init__()
        self.config = config
        d_model, self.patch_norm = config.d_model, None
        self.tokens = nn.Parameter(torch.randn(config.vocab_size, d_model) * 0.02)
        self.cls_token = (
            nn.Parameter(torch.randn(1, 1, d_model) * 0.02) if config.cls_token else None
        )
        has_positions = config.position is not None
        self.pos = (
            nn.Parameter(torch.randn(config.n_tokens, d_model) * 0.02) if has_positions else None
        )

    def forward(self, inputs: Int[Tensor, "batch words"]) -> Float[Tensor, "batch tokens d_model"]:
        """Tokens without their positions."""
        embedded = nn.functional.embedding(inputs, self.tokens)
        if self.cls_token is None:
            return embedded
        return torch.cat([embedded, self.cls_token.expand(len(inputs), -1, -1)], 1)

    def positions(self, layout: Layout) -> Float[Tensor, "tokens d_model"] | None:
        """What is added to each token; texts shorter than the context have the first of them."""
        return None if self.pos is None else self.pos[: layout.n_tokens]

    @property
    def W_E(self) -> Float[Tensor, "vocabulary d_model"]:
        """The parameter itself."""
        return self.tokens

    @property
    def b_E(self) -> Tensor:
        raise ValueError(
            "`b_E` is the bias of embedded patches; got a model of texts. Leave it out."
        )

    @property
    def writes_its_weights(self) -> bool:
        return True

    def written(self) -> list[tuple[Tensor | None, int]]:
        return [(self.tokens, -1), (self.cls_token, -1), (self.pos, -1)]
