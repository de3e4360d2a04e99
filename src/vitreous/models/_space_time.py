"""Who attends to whom in a clip, where attention is divided over time and space.

Tokens stand in reading order: prefix tokens (class, distillation, registers), then patches by
frame, row and column. A place is a row and a column.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Heads = Float[Tensor, "batch tokens heads d_head"]
Scores = Float[Tensor, "batch heads queries keys"]
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class Reach(ABC):
    """Which keys each query sees, and how its scores become a pattern.

    Args:
        n_prefix: Tokens in front of the patches.
        n_frames: Frames of patches.
    """

    def __init__(self, n_prefix: int, n_frames: int) -> None:
        self.n_prefix, self.n_frames = n_prefix, n_frames

    @property
    @abstractmethod
    def n_idle(self) -> int:
        """Tokens, the first ones, that take no part: nothing is added to them, not even a bias."""

    @abstractmethod
    def sees(self, n_tokens: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
        """Whether a query sees a key."""

    @abstractmethod
    def softmax(self, scores: Scores) -> Scores:
        """The pattern of scores that are minus infinity where a query doesn't see a key."""

    @abstractmethod
    def fused(self, q: Heads, k: Heads, v: Heads, attend: Attend) -> Heads:
        """What all queries read, by an `attend` over sequences `[many tokens heads d_head]`."""

    def _by_frame(self, x: Tensor) -> Float[Tensor, "batch frames places heads d_head"]:
        """Patches apart by frame, without the prefix."""
        return x[:, self.n_prefix :].unflatten(1, (self.n_frames, -1))


class OverTime(Reach):
    """Each patch attends to its own place in all frames; the prefix takes no part.

    References:
        Bertasius, Wang and Torresani, "Is Space-Time Attention All You Need for Video
        Understanding?", 2021, equation 10. Departs from it as the authors' code does: the class
        token is no key.
    """

    @property
    def n_idle(self) -> int:
        return self.n_prefix

    def sees(self, n_tokens: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
        n_places = (n_tokens - self.n_prefix) // self.n_frames
        token = torch.arange(n_tokens, device=device)
        is_patch, place = token >= self.n_prefix, (token - self.n_prefix) % n_places
        both = is_patch[:, None] & is_patch
        return both & (place[:, None] == place)

    def softmax(self, scores: Scores) -> Scores:
        """Zero for queries that see no key."""
        blind = (scores == float("-inf")).all(-1, keepdim=True)
        return scores.masked_fill(blind, 0).softmax(-1).masked_fill(blind, 0)

    def fused(self, q: Heads, k: Heads, v: Heads, attend: Attend) -> Heads:
        sequences = [self._by_frame(x).transpose(1, 2).flatten(0, 1) for x in (q, k, v)]
        n_places = (q.shape[1] - self.n_prefix) // self.n_frames
        z = attend(*sequences).unflatten(0, (len(q), n_places)).transpose(1, 2).flatten(1, 2)
        return torch.cat([z.new_zeros(q[:, : self.n_prefix].shape), z], 1)


class OverSpace(Reach):
    """Each patch attends to the prefix and to the patches of its own frame.

    A prefix token attends to them within each frame by itself, and what it reads is averaged over
    the frames: its row of the pattern is the mean of one softmax per frame.

    References:
        Bertasius, Wang and Torresani, "Is Space-Time Attention All You Need for Video
        Understanding?", 2021, equation 11, and the authors' code for the class token.
    """

    @property
    def n_idle(self) -> int:
        return 0

    def sees(self, n_tokens: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
        n_places = (n_tokens - self.n_prefix) // self.n_frames
        token = torch.arange(n_tokens, device=device)
        is_prefix, frame = token < self.n_prefix, (token - self.n_prefix) // n_places
        return is_prefix[:, None] | is_prefix | (frame[:, None] == frame)

    def softmax(self, scores: Scores) -> Scores:
        prefix, patches = scores[:, :, : self.n_prefix], scores[:, :, self.n_prefix :]
        return torch.cat([self._mean_over_frames(prefix), patches.softmax(-1)], 2)

    def _mean_over_frames(self, scores: Scores) -> Scores:
        shared, own = scores[..., : self.n_prefix], scores[..., self.n_prefix :]
        own = own.unflatten(-1, (self.n_frames, -1))
        shared = shared.unsqueeze(-2).expand(*own.shape[:-1], -1)
        by_frame = torch.cat([shared, own], -1)
        if (by_frame == float("-inf")).all(-1).any():
            raise ValueError(
                "Tokens in front of the patches must be left a key in each frame, over which "
                "their attention is averaged; a hook hides all of one from them. Hide fewer keys."
            )
        patterns = by_frame.softmax(-1) / self.n_frames
        shared, own = patterns[..., : self.n_prefix], patterns[..., self.n_prefix :]
        return torch.cat([shared.sum(-2), own.flatten(-2)], -1)

    def fused(self, q: Heads, k: Heads, v: Heads, attend: Attend) -> Heads:
        z = attend(*(self._frames_with_prefix(x) for x in (q, k, v)))
        z = z.unflatten(0, (len(q), self.n_frames))
        prefix, patches = z[:, :, : self.n_prefix], z[:, :, self.n_prefix :]
        return torch.cat([prefix.mean(1), patches.flatten(1, 2)], 1)

    def _frames_with_prefix(self, x: Tensor) -> Float[Tensor, "frames tokens heads d_head"]:
        """Each frame as a sequence, with the prefix in front of it."""
        patches = self._by_frame(x)
        prefix = x[:, None, : self.n_prefix].expand(-1, self.n_frames, -1, -1, -1)
        return torch.cat([prefix, patches], 2).flatten(0, 1)
