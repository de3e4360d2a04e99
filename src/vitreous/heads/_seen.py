"""What one layer's heads look at, and how well that matches a template."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.heads._attention_pass import visible_keys
from vitreous.heads._pictures import Pictures
from vitreous.heads._places import Places
from vitreous.models import HookedViT

Of = Literal["pattern", "scores"]

# Between what is perfect and what is chance there must be more than rounding.
_NO_ROOM = 1e-6


@dataclass(frozen=True)
class Setting:
    """What is the same for all layers and images of a pass.

    Attributes:
        of: Whether attention is given as patterns or as scores.
        places: Where patches are.
        selected: The tokens whose attention counts.
        visible: Which keys a query can see at all.
    """

    of: Of
    places: Places
    selected: Bool[Tensor, " queries"]
    visible: Bool[Tensor, "queries keys"]

    @classmethod
    def of_run(
        cls, model: HookedViT, pixels: Tensor, of: Of, positions: Any, before: "Setting | None"
    ) -> "Setting":
        """That of a run on some pixels, which must be that of the run `before`, if there was one.

        Raises:
            ValueError: Images of another size than before.
        """
        layout = model.layout_for(pixels)
        if before is not None and before.places.layout == layout:
            return before
        if before is not None:
            raise ValueError(
                "`images` must all be of one size, since places are compared; got grids "
                f"{before.places.sizes} and {layout.grid}. Take each size by itself."
            )
        selected = torch.zeros(layout.n_tokens, dtype=torch.bool, device=pixels.device)
        selected[layout.select(positions)] = True
        return cls(of, Places(layout, pixels.device), selected, visible_keys(model, layout))

    @cached_property
    def uniform(self) -> Float[Tensor, "queries keys"]:
        """The pattern of a head that attends to all keys alike: chance."""
        return _even(self.visible)

    @cached_property
    def patches(self) -> Bool[Tensor, " patches"]:
        """Which patches are selected."""
        return self.selected[self.places.layout.n_prefix :]

    def offset_means(
        self, pattern: Float[Tensor, "*batch queries keys"]
    ) -> Float[Tensor, "*batch rows columns"] | Float[Tensor, "*batch frames rows columns"]:
        """Attention from patch to patch by offset, over the pairs that there are; NaN without."""
        sums = self.places.by_offset(pattern.flatten(0, -3)[None])[0]
        pairs = self.places.by_offset(self.visible.to(pattern.dtype)[None, None])[0]
        found = sums / torch.where(pairs > 0, pairs, torch.nan)
        sizes = [2 * size - 1 for size in self.places.sizes]
        return found.view(*pattern.shape[:-2], *sizes[sizes[0] == 1 :])

    @property
    def offset_coordinates(self) -> dict[str, list[int]]:
        """The dimensions that `offset_means` gives, and what stands along them."""
        words = ("frame_offset", "row_offset", "column_offset")
        sizes = self.places.sizes
        named = zip(words, sizes, strict=True)
        return {word: list(range(1 - size, size)) for word, size in list(named)[sizes[0] == 1 :]}

    def mean_by_offset(
        self, attention: Float[Tensor, "batch heads queries keys"]
    ) -> Float[Tensor, "batch heads components"]:
        """Sums by offset, per selected patch."""
        chosen = attention * self.selected[:, None]
        return self.places.by_offset(chosen) / self.patches.sum()


@dataclass(frozen=True)
class Seen:
    """The attention of one layer's heads in a batch of images.

    Attributes:
        setting: What all layers share.
        attention: Patterns; or scores, centered over the visible keys of each query and scaled to
            length one.
        pictures: What the heads looked at.
    """

    setting: Setting
    attention: Float[Tensor, "batch heads queries keys"]
    pictures: Pictures

    @property
    def places(self) -> Places:
        return self.setting.places

    @cached_property
    def by_offset(self) -> Float[Tensor, "batch heads components"]:
        return self.setting.mean_by_offset(self.single_keys())

    def match(self, template: Tensor) -> Float[Tensor, "batch heads components"]:
        """How far attention lies where a template does; 0 is chance and 1 is perfect.

        Of patterns, the mass on the template less that of uniform attention, as a part of the most
        that it could be. Of scores, their correlation with the template over the visible keys.
        Either is averaged over the selected queries for which the template has a key (or, of
        scores, for which it has one and leaves one out).

        Args:
            template: Weights in [0, 1] of `[images or 1, templates, queries, keys]`.

        Returns:
            One number per image, head and template; NaN where nothing counts.
        """
        seen = self.setting.visible & self.setting.selected[:, None]
        template = template.to(self.attention.dtype) * seen
        if self.setting.of == "scores":
            weights = standardized(template, self.setting.visible)
            counts = weights.abs().amax(-1) > 0
            return self._sums(weights) / counts.sum(-1)[:, None]
        best = template.amax(-1)
        n_counting = (best > 0).sum(-1)[:, None]
        chance = (template * self.setting.uniform).sum((-2, -1))[:, None] / n_counting
        best = best.sum(-1)[:, None] / n_counting
        return calibrated(self._sums(template) / n_counting, chance, best)

    def match_beyond(
        self, groups: Int[Tensor, "components right"]
    ) -> Float[Tensor, "batch heads components"]:
        """How far attention spreads over a set of offsets, beyond the best group among them.

        A head that looks at one fixed offset has all its mass in its own row, too. So what counts
        of patterns is the mass on the set less that on the group that has most; 0 is uniform
        attention, and 1 is attention that spreads evenly over the set. Scores are correlated with
        the set.

        Args:
            groups: Of each set the group of each offset; -1 where an offset isn't in the set.

        Returns:
            One number per image, head and set; NaN where a set has all pairs of patches.
        """
        sets = (groups >= 0)[:, self.places.offset_of]
        template = self.places.between_patches(sets)[None]
        if self.setting.of == "scores":
            found = self.match(template)
        else:
            even = self.setting.mean_by_offset(_even(template & self.setting.visible))[0]
            chance = self.setting.mean_by_offset(self.setting.uniform[None, None])
            best = [_beyond(e[None, None], g) for e, g in zip(even, groups, strict=True)]
            found, lowest, best = (
                torch.stack(each, -1)
                for each in (
                    [_beyond(self.by_offset, g) for g in groups],
                    [_beyond(chance, g) for g in groups],
                    best,
                )
            )
            found = calibrated(found, lowest, best)
        return found.masked_fill(sets.all(-1).all(-1), torch.nan)

    def single_keys(self) -> Float[Tensor, "batch heads queries keys"]:
        """Attention such that, of patterns and scores alike, its mean at one key is that match."""
        if self.setting.of == "pattern":
            return self.attention
        n_visible = self.setting.visible.sum(-1, keepdim=True).double()
        scale = (n_visible / (n_visible - 1).clamp(min=1)).sqrt()
        return self.attention * scale.to(self.attention.dtype)

    def _sums(
        self, weights: Float[Tensor, "#batch components queries keys"]
    ) -> Float[Tensor, "batch heads components"]:
        return self.attention.flatten(2) @ weights.flatten(2).transpose(1, 2)


def standardized(
    scores: Float[Tensor, "*batch queries keys"], visible: Bool[Tensor, "queries keys"]
) -> Float[Tensor, "*batch queries keys"]:
    """Each query's scores over visible keys, centered and of length one; 0 where all are equal."""
    scores = scores.masked_fill(~visible, 0)
    centered = scores - scores.sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    centered = centered.masked_fill(~visible, 0)
    length = centered.norm(dim=-1, keepdim=True)
    rounding = torch.finfo(scores.dtype).eps * scores.abs().amax(-1, keepdim=True) * 16
    return torch.where(length > rounding, centered / length, 0)


def calibrated(found: Tensor, chance: Tensor, best: Tensor) -> Tensor:
    """0 at chance, 1 at the best that there can be; NaN where both are the same."""
    room = best - chance
    return (found - chance) / torch.where(room > _NO_ROOM, room, torch.nan)


def _even(mask: Bool[Tensor, "*batch queries keys"]) -> Float[Tensor, "*batch queries keys"]:
    """Patterns that spread evenly over a mask; rows of zeros where it is empty."""
    return mask.double() / mask.sum(-1, keepdim=True).clamp(min=1)


def _beyond(
    by_offset: Float[Tensor, "batch heads components"], groups: Int[Tensor, " components"]
) -> Float[Tensor, "batch heads"]:
    inside = groups >= 0
    mass = by_offset[..., inside]
    by_group = mass.new_zeros(*mass.shape[:2], len(groups))
    by_group.index_add_(2, groups[inside], mass)
    return mass.sum(-1) - by_group.amax(-1)
