"""All numbers of one explanation, from one run of the model (sweeps apart)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8
from torch import Tensor

from vitreous.data import ClassNames
from vitreous.heads import HeadName
from vitreous.models import TokenLayout
from vitreous.report._question import Question


@dataclass(frozen=True)
class Evidence:
    """What a report shows, as numbers.

    Attributes:
        pixels: The picture that the model saw, for display, cut to its patch grid.
        layout: Where tokens are, at the size that was run.
        pooling: What the head reads, by the name that `PoolingConfig` has for it.
        classes: A short name for each class, with emoji, groups and colors where there are any.
        logits: The model's output for this picture.
        question: What is explained.
        value: The target's value on this picture, in logits.
        lens: What each token and the whole head say by layer, as `logit_lens` returns it; of the
            highest labels alone where there are too many to hold.
        layer_shares: Dimension `component`: the target split by layer, in logits.
        source_shares: Dimension `component`: the same split by head and source token.
        head_shares: `[layers, heads]`: the target's shares that heads wrote, in logits.
        residual: How far the shares by layer are from adding up to the target.
        misleading: A sentence for each share that later components take back.
        scores: Attention scores, before the softmax.
        names: Names that heads have earned on a data set, if there were scores of one.
        effects: `[layers, heads]`: target after mean-ablating a head minus target before.
        reference: Whose mean took a head's place.
    """

    pixels: UInt8[np.ndarray, "rows columns 3"]
    layout: TokenLayout
    pooling: str
    classes: ClassNames
    logits: Float[Tensor, " labels"]
    question: Question
    value: float
    lens: xr.Dataset
    layer_shares: xr.DataArray
    source_shares: xr.DataArray
    head_shares: Float[np.ndarray, "layers heads"]
    residual: float
    misleading: tuple[str, ...]
    scores: Float[np.ndarray, "layers heads queries keys"]
    names: tuple[HeadName, ...]
    effects: Float[np.ndarray, "layers heads"]
    reference: str

    @property
    def labels(self) -> tuple[str, ...]:
        """A short name for each class."""
        return self.classes.names

    @property
    def emoji(self) -> tuple[str, ...] | None:
        """An emoji for each class, where there are any."""
        return self.classes.emoji

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
        return self.classes.label(label)


@dataclass(frozen=True)
class Provenance:
    """Where an explanation comes from: the page's footer, and the names in its header."""

    image: str
    model: str
    facts: Mapping[str, str]
