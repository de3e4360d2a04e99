"""All numbers of one explanation, from one run of the model (sweeps apart)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8
from torch import Tensor

from vitreous.models import TokenLayout


@dataclass(frozen=True)
class Question:
    """What is being explained: the logit of a class, or how far it leads another one.

    Attributes:
        label: Index of the class that is explained.
        minus: Index of the class it is compared with; None for the raw logit.
        text: The target in words, as the target itself is named.
    """

    label: int
    minus: int | None
    text: str


@dataclass(frozen=True)
class Evidence:
    """What a report shows, as numbers.

    Attributes:
        pixels: The picture that the model saw, for display, cut to its patch grid.
        layout: Where tokens are, at the size that was run.
        labels: A short name for each class.
        emoji: An emoji for each class, where there are any.
        logits: The model's output for this picture.
        question: What is explained.
        value: The target's value on this picture, in logits.
        lens: Dimensions (layer, token, label), in logits; layer -1 is the embedding.
        layer_shares: Dimension `component`: the target split by layer, in logits.
        head_shares: `[layers, heads]`: the target's shares that heads wrote, in logits.
        residual: How far the shares by layer are from adding up to the target.
        scores: Attention scores, before the softmax.
        effects: `[layers, heads]`: target after mean-ablating a head minus target before.
        reference: Whose mean took a head's place.
    """

    pixels: UInt8[np.ndarray, "rows columns 3"]
    layout: TokenLayout
    labels: tuple[str, ...]
    emoji: tuple[str, ...] | None
    logits: Float[Tensor, " labels"]
    question: Question
    value: float
    lens: xr.DataArray
    layer_shares: xr.DataArray
    head_shares: Float[np.ndarray, "layers heads"]
    residual: float
    scores: Float[np.ndarray, "layers heads queries keys"]
    effects: Float[np.ndarray, "layers heads"]
    reference: str

    @property
    def probabilities(self) -> Float[np.ndarray, " labels"]:
        """Softmax over all classes."""
        return self.logits.double().softmax(-1).numpy()

    @property
    def ranking(self) -> list[int]:
        """Classes from the most to the least probable."""
        return self.logits.argsort(descending=True, stable=True).tolist()

    def named(self, label: int) -> str:
        """A class as a person reads it: emoji, where there is one, and name."""
        return f"{self.emoji[label]} {self.labels[label]}" if self.emoji else self.labels[label]


@dataclass(frozen=True)
class Provenance:
    """Where an explanation comes from: the page's footer, and the names in its header."""

    image: str
    model: str
    facts: Mapping[str, str]
