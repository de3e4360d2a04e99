"""All numbers of a report on one head."""

from dataclasses import dataclass

import xarray

from vitreous.data import ClassNames
from vitreous.heads import HeadName
from vitreous.models import TokenLayout


@dataclass(frozen=True)
class HeadEvidence:
    """What a report on a head shows, as numbers.

    Attributes:
        layer: The head's block.
        head: Its number there.
        layout: Where tokens are.
        n_images: How many images it was measured on.
        profile: Mean patterns, and what it responds to most, as `head_profile` returns them.
        scores: Of this head, as `score_heads` returns them.
        names: Names that it earns.
        classes: What the model's outputs are called; None where it has no classes.
        directions: Of its `W_V @ W_O` in class space, as `singular_directions` returns them; or the
            reason why there are none.
        effects: `effect[image, head]`: how the lead of the model's own answer over the best other
            one changes when a head of this layer is mean-ablated, in logits; `lead[image]` before,
            and `answer[image]`. None for a model without classes.
    """

    layer: int
    head: int
    layout: TokenLayout
    n_images: int
    profile: xarray.Dataset
    scores: xarray.Dataset
    names: tuple[HeadName, ...]
    classes: ClassNames | None
    directions: xarray.Dataset | str
    effects: xarray.Dataset | None

    @property
    def n_changed(self) -> int | None:
        """How many images get another answer without the head; None where there are no others."""
        if self.effects is None or self.classes is None or len(self.classes) < 2:
            return None
        left = self.effects["lead"] + self.effects["effect"].sel(head=self.head)
        return int((left < 0).sum())
