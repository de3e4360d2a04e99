"""The text transformer by its definition, and tiny ones from all over the configuration space.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021,
section 2.4 (a causal text tower, read at the token that ends the text); Zhai et al., "Sigmoid Loss
for Language Image Pre-Training", 2023 (no mask, read at the last token); Yu et al., "CoCa", 2022,
section 3.2 (a class token behind the text, padding hidden).
"""

import math
from functools import partial
from typing import Any, get_args

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.laws._definition import At, Definition, untouched, values_by
from tests.laws._models import attentions, norms
from vitreous.models import (
    HookedTextConfig,
    HookedTextTransformer,
    PoolingConfig,
    PositionConfig,
)
from vitreous.models._part_configs import Activation

VOCABULARY, PADDING, END = 7, 2, 5


class TextDefinition(Definition):
    """Runs a model's weights through the definition, one text and one token at a time."""

    def __init__(self, model: HookedTextTransformer, tokens: Tensor, at: At = untouched) -> None:
        self.cfg: Any = model.cfg
        self.weights = dict(model.named_parameters())
        self.tables = {}
        self.tokens = tokens.tolist()
        self.at = at

    def embedded(self, images: Tensor) -> Tensor:
        cfg, table = self.cfg, self.weights["embedding.tokens"]
        behind = [self.weights["embedding.cls_token"][0, 0]] if cfg.cls_token else []
        rows = [torch.stack([*(table[word] for word in text), *behind]) for text in self.tokens]
        full = self.at("hook_embed", torch.stack(rows))
        if cfg.position is not None:
            own = self.weights["embedding.pos"][: full.shape[1]]
            full = full + self.at("hook_pos_embed", torch.stack([own] * len(rows)))
        full = self.at("hook_full_embed", full)
        if cfg.ln_pre is None:
            return full
        return self.at("hook_ln_pre", self.norm("ln_pre", cfg.ln_pre, full))

    def score_bias(self, layer: int, scores: Tensor, time: str) -> Tensor:
        bias = super().score_bias(layer, scores, time).expand(scores.shape).clone()
        for text, hidden in enumerate(self.hidden()):
            for key in hidden:
                bias[text, :, :, key] = -math.inf
        return bias

    def hidden(self) -> list[list[int]]:
        """The tokens of each text that nobody attends to."""
        if self.cfg.pad_token is None:
            return [[] for _ in self.tokens]
        shift = 1 if self.cfg.shifts_padding else 0
        places = [
            [place + shift for place, word in enumerate(text) if word == self.cfg.pad_token]
            for text in self.tokens
        ]
        return places

    def pooled(self, x: Tensor) -> list[Tensor]:
        kind = self.cfg.pooling.kind
        if kind == "none":
            return [x]
        if kind == "mean":
            return [torch.stack([self.averaged(x[i], i) for i in range(len(x))])]
        return [torch.stack([x[i, self.place(text)] for i, text in enumerate(self.tokens)])]

    def averaged(self, x: Tensor, text: int) -> Tensor:
        seen = [x[i] for i in range(len(x)) if i not in self.hidden()[text]]
        return sum(seen) / len(seen)

    def place(self, text: list[int]) -> int:
        if self.cfg.pooling.kind == "first":
            return 0
        if self.cfg.pooling.kind == "last":
            return len(text) - 1 + self.cfg.cls_token
        if self.cfg.eot_token is None:
            return text.index(max(text))
        return text.index(self.cfg.eot_token) if self.cfg.eot_token in text else 0


def text_defined(
    model: HookedTextTransformer, tokens: Tensor, edits: dict[str, Tensor] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and every named value, by the definition; `edits` replaces values by name."""
    return values_by(partial(TextDefinition, model, tokens), tokens, edits)


@st.composite
def text_configs(draw: st.DrawFn, **fixed: Any) -> HookedTextConfig:
    """Any small `HookedTextConfig`; `fixed` gives the value of a field."""
    cls_token = draw(st.booleans())
    pad_token = draw(st.sampled_from([None, PADDING]))
    d_mlp = draw(st.sampled_from([None, 5]))
    values = {
        "n_layers": draw(st.integers(1, 3)),
        "d_model": 8,
        "n_heads": draw(st.integers(1, 2)),
        "d_head": draw(st.sampled_from([None, 3])),
        "d_mlp": d_mlp,
        "act_name": draw(st.sampled_from(get_args(Activation))),
        "n_classes": draw(st.sampled_from([None, 4])),
        "head_bias": draw(st.booleans()),
        "position": draw(st.sampled_from([PositionConfig(), None])),
        "ln_pre": draw(st.none() | norms()),
        "norm": draw(st.none() | norms()),
        "out_norm": draw(st.none() | norms()),
        "parallel": draw(st.booleans()) if d_mlp else False,
        "attention": draw(attentions(turns=False, offsets=False)),
        "mlp_gate": draw(st.booleans()),
        "layer_scale": draw(st.booleans()),
        "pooling": PoolingConfig(
            draw(st.sampled_from(["first", "last", "eot", "mean", "none"])),
            norm=draw(st.none() | norms()),
            norm_first=draw(st.booleans()),
        ),
        "vocab_size": VOCABULARY,
        "n_ctx": 5,
        "cls_token": cls_token,
        "eot_token": draw(st.sampled_from([None, END])),
        "pad_token": pad_token,
        "shifts_padding": cls_token and pad_token is not None and draw(st.booleans()),
    }
    return HookedTextConfig(**values | fixed)


def build_text(cfg: HookedTextConfig, seed: int = 0) -> HookedTextTransformer:
    """A float64 model in which nothing is zero or one by accident."""
    generator = torch.Generator().manual_seed(seed)
    model = HookedTextTransformer(cfg).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            is_gain = name.endswith((".w", ".gain"))
            parameter.copy_(1 + 0.3 * noise if is_gain else 0.4 * noise)
    return model


def texts_for(cfg: HookedTextConfig, words: int | None = None) -> Tensor:
    """Three texts that end in three places, filled up with padding where they are shorter."""
    words = words or cfg.n_ctx
    generator = torch.Generator().manual_seed(1)
    others = torch.tensor([i for i in range(VOCABULARY) if i not in (PADDING, END, VOCABULARY - 1)])
    tokens = others[torch.randint(len(others), (3, words), generator=generator)]
    end = VOCABULARY - 1 if cfg.eot_token is None else END
    for text in range(3):
        place = max(words - 1 - text, 0)
        tokens[text, place] = end
        tokens[text, place + 1 :] = PADDING
    return tokens
