"""Of logits over many labels, what a page keeps: the highest, and the course of some labels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from vitreous.view._packing import Array, as_numpy, must_be_finite

NO_LABEL = 65535
"""Stands where a token has fewer labels to follow than others."""


@dataclass(frozen=True)
class TopLogits:
    """The highest logits of each token at each layer, where there are too many labels to hold all.

    Attributes:
        label: `[layers, tokens, ranks]`, class indices, the highest first.
        logit: `[layers, tokens, ranks]`, their logits.
        log_partition: `[layers, tokens]`, logsumexp over *all* labels, so that probabilities are
            those among all of them.
    """

    label: Integer[Array, "layers tokens ranks"]
    logit: Float[Array, "layers tokens ranks"]
    log_partition: Float[Array, "layers tokens"]

    @classmethod
    def of(cls, logits: Float[Array, "layers tokens labels"], top: int) -> "TopLogits":
        """Keeps the `top` highest of logits over all labels; of equal ones, the first."""
        values = as_numpy(logits).astype(np.float64)
        must_be_finite(values)
        label = np.argsort(-values, axis=-1, kind="stable")[..., :top]
        highest = values.max(axis=-1, keepdims=True)
        log_partition = np.log(np.exp(values - highest).sum(axis=-1)) + highest[..., 0]
        return cls(label, np.take_along_axis(values, label, axis=-1), log_partition)

    def beside(self, other: "TopLogits") -> "TopLogits":
        """These tokens, and behind them the tokens of the other."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return TopLogits(*(np.concatenate(pair, axis=1) for pair in pairs))

    def cut(self, top: int) -> "TopLogits":
        """The `top` highest alone."""
        label, logit, log_partition = self._arrays()
        return TopLogits(label[..., :top], logit[..., :top], log_partition)

    def peaks(self, n_labels: int) -> Float[np.ndarray, "tokens labels"]:
        """Each label's highest probability at any layer; 0 for one that is never kept."""
        label, logit, log_partition = self._arrays()
        peaks = np.zeros((label.shape[1], n_labels))
        tokens = np.broadcast_to(np.arange(label.shape[1])[:, None], label.shape)
        np.maximum.at(peaks, (tokens, label), np.exp(logit - log_partition[..., None]))
        return peaks

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return as_numpy(self.label), as_numpy(self.logit), as_numpy(self.log_partition)


@dataclass(frozen=True)
class Courses:
    """Some labels of each token, at all layers.

    Attributes:
        label: `[tokens, followed]`, class indices; `NO_LABEL` where there is none.
        logit: `[layers, tokens, followed]`; 0 where it isn't known.
        rank: `[layers, tokens, followed]`, 1 for the highest; equal logits share the better rank. 0
            where it isn't known, because the label is not among the kept ones there.
    """

    label: Integer[np.ndarray, "tokens followed"]
    logit: Float[np.ndarray, "layers tokens followed"]
    rank: Integer[np.ndarray, "layers tokens followed"]


def followed_and_leading(
    peaks: Float[np.ndarray, "tokens labels"],
    last: Integer[Array, " tokens"],
    followed: list[int],
    count: int,
) -> Integer[np.ndarray, "tokens followed"]:
    """For each token the followed labels, then those `count` others that lead at some layer.

    Args:
        peaks: The highest probability of each label at any layer.
        last: Each token's highest label at the last layer, which is always among them.
        followed: Labels that all tokens have in common.
        count: How many others.
    """
    peaks = peaks.copy()
    np.put_along_axis(peaks, as_numpy(last)[:, None], 2.0, axis=-1)
    peaks[:, followed] = -1.0
    leading = np.argsort(-peaks, axis=-1, kind="stable")[:, :count]
    leading[np.take_along_axis(peaks, leading, axis=-1) <= 0] = NO_LABEL
    same = np.broadcast_to(np.array(followed, dtype=leading.dtype), (len(peaks), len(followed)))
    return np.concatenate([same, leading], axis=-1)


def courses(
    logits: Float[Array, "layers tokens labels"], label: Integer[np.ndarray, "tokens followed"]
) -> Courses:
    """Reads the labels' courses off logits over all labels: every one is known."""
    values = as_numpy(logits)
    known = np.where(label == NO_LABEL, 0, label)
    chosen = np.take_along_axis(values, known[None], axis=-1)
    higher = [(values > chosen[..., i : i + 1]).sum(axis=-1) for i in range(label.shape[-1])]
    rank = 1 + np.stack(higher, axis=-1) if higher else np.zeros(chosen.shape, dtype=np.int64)
    return Courses(label, chosen, rank)


def courses_among(top: TopLogits, label: Integer[np.ndarray, "tokens followed"]) -> Courses:
    """The same from what was kept: known where a label is among the highest."""
    kept, logit = as_numpy(top.label), as_numpy(top.logit)
    found = kept[:, :, None, :] == label[None, :, :, None]
    known = found.any(axis=-1)
    chosen = np.where(known, np.take_along_axis(logit, found.argmax(axis=-1), axis=-1), 0.0)
    rank = 1 + (logit[:, :, None, :] > chosen[..., None]).sum(axis=-1)
    return Courses(label, chosen, np.where(known, rank, 0))
