"""Attention scores as numbers: one head's, its pattern, what its colors span, what they must be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from vitreous.view._packing import Array, as_numpy

Kind = Literal["pattern", "scores"]
Way = Literal["from", "to"]
Scale = Literal["token", "head", "all"]


@dataclass(frozen=True)
class Look:
    """What of a head is shown: see `AttentionGallery.save_png`."""

    kind: Kind
    way: Way
    scale: Scale

    def __post_init__(self) -> None:
        for name, words in (("kind", Kind), ("way", Way), ("scale", Scale)):
            _must_be_one_of(name, getattr(self, name), get_args(words))

    @property
    def words(self) -> str:
        return "where {} looks" if self.way == "from" else "who looks at {}"

    def span(
        self,
        scores: Float[Array, "layers heads queries keys"],
        place: tuple[int, int],
        places: Sequence[tuple[int, int]],
    ) -> tuple[float, float] | None:
        """What the colors span, or None where each token has a scale of its own."""
        if self.scale == "token":
            return None
        spans = [
            bounds(self._values(scores, each), self.kind)
            for each in (places if self.scale == "all" else [place])
        ]
        return min(low for low, _ in spans), max(high for _, high in spans)

    def lines(
        self,
        scores: Float[Array, "layers heads queries keys"],
        place: tuple[int, int],
        tokens: Sequence[int],
    ) -> Float[np.ndarray, "positions tokens"]:
        """For each of these tokens what it attends to, or who attends to it."""
        values = self._values(scores, place)
        return (values if self.way == "from" else values.T)[list(tokens)]

    def _values(
        self, scores: Float[Array, "layers heads queries keys"], place: tuple[int, int]
    ) -> Float[np.ndarray, "queries keys"]:
        return (head_pattern if self.kind == "pattern" else head_scores)(scores, *place)


def head_pattern(
    scores: Float[Array, "layers heads queries keys"], layer: int, head: int
) -> Float[np.ndarray, "queries keys"]:
    """A head's pattern, from its scores, which must be some."""
    values = head_scores(scores, layer, head)
    must_be_scores(values, layer, head)
    return np.exp(values - log_partition(values)[:, None])


def head_scores(
    scores: Float[Array, "layers heads queries keys"], layer: int, head: int
) -> Float[np.ndarray, "queries keys"]:
    return as_numpy(scores[layer, head]).astype(np.float32)


def log_partition(scores: Float[np.ndarray, "queries keys"]) -> Float[np.ndarray, " queries"]:
    scores = scores.astype(np.float64)
    highest = scores.max(axis=-1, keepdims=True)
    return np.log(np.exp(scores - highest).sum(axis=-1)) + highest[..., 0]


def extents(
    scores: Float[np.ndarray, "queries keys"], partition: Float[np.ndarray, " queries"]
) -> Float[np.ndarray, " 3"]:
    """Smallest and largest score, and the largest value of the pattern."""
    highest = np.exp((scores.max(axis=-1) - partition).max())
    return np.array([*bounds(scores, "scores"), highest])


def bounds(values: Float[np.ndarray, "..."], kind: Kind) -> tuple[float, float]:
    """What a color scale spans; a pattern's begins at zero, and masked scores have no color."""
    seen = values[values > -np.inf]
    if not seen.size:
        return 0.0, 0.0
    return (0.0 if kind == "pattern" else float(seen.min())), float(seen.max())


def must_be_self_attention(shape: Sequence[int]) -> None:
    if len(shape) != 4 or shape[2] != shape[3] or not math.prod(shape):
        raise ValueError(
            f"Scores must be [layers, heads, queries, keys], one row per token; got {(*shape,)}. "
            "Pass the scores of whole self-attention, for one image."
        )


def must_be_among(sizes: Sequence[int], places: Sequence[Sequence[int]]) -> None:
    """Raises unless each place has an index for each axis of these sizes."""
    name = "A head" if len(sizes) == 2 else "A token"
    for place in places:
        fits = len(place) == len(sizes)
        if not fits or any(not 0 <= i < n for i, n in zip(place, sizes, strict=True)):
            ranges = " and ".join(f"0..{size - 1}" for size in sizes)
            got = ", ".join(map(str, place))
            raise ValueError(
                f"{name} must lie in {ranges}; got {got}. Count from zero, as the scores do."
            )


def must_be_scores(scores: Float[np.ndarray, "queries keys"], layer: int, head: int) -> None:
    wrong = np.count_nonzero(np.isnan(scores) | (scores == np.inf))
    blind = np.count_nonzero((scores == -np.inf).all(axis=-1))
    if wrong or blind:
        got = f"{wrong} that are no number" if wrong else f"{blind} queries that see no key"
        raise ValueError(
            f"Scores must be finite, or minus infinity where a key is masked; got {got} in layer "
            f"{layer}, head {head}. Look for NaN or infinity in the weights, the image or the mask."
        )


def _must_be_one_of(name: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        listed = " or ".join(repr(word) for word in words)
        raise ValueError(f"`{name}` must be {listed}; got {value!r}. Pass one of them.")
