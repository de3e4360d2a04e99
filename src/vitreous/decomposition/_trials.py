"""What a model says without some of its heads, tried many times on the same images."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous.data import Images
from vitreous.decomposition._classes import Classifier, class_logits
from vitreous.decomposition._remove_heads import Heads, WithoutHeads, ablations, read_by_heads
from vitreous.hooks import Means
from vitreous.models import image_tower, stream


@dataclass(frozen=True)
class InTheSum:
    """Parts of the final sum, exchanged for their mean: no run.

    Attributes:
        model: Whose logits.
        outputs: Of its image tower.
        beyond_usual: What each head says beyond its mean.
    """

    model: Classifier
    outputs: Float[Tensor, "images labels"]
    beyond_usual: Float[Tensor, "images components labels"]

    @torch.no_grad()
    def logits(self, removed: list[int]) -> Float[Tensor, "images labels"]:
        """The logits without these heads."""
        changed = self.outputs - self.beyond_usual[:, removed].sum(1)
        return class_logits(self.model, changed.to(image_tower(self.model).placement)).cpu()

    def candidates(self, removed: list[int], _: Tensor) -> list[int]:
        """All heads that are left."""
        return [head for head in range(self.beyond_usual.shape[1]) if head not in removed]


class InThePass:
    """Runs in which heads read their mean."""

    def __init__(
        self,
        model: Classifier,
        images: Tensor | Images,
        heads: Heads,
        reference: Tensor | Images,
        truth: Int[Tensor, " images"],
        tries: int | None,
    ) -> None:
        self.model, self.images, self.heads = model, images, heads
        self.truth, self.tries = truth, tries
        self.edits = ablations(image_tower(model), heads, reference)

    @torch.no_grad()
    def logits(self, removed: list[int]) -> Float[Tensor, "images labels"]:
        """The logits without these heads."""
        tower = image_tower(self.model)
        nothing = tower.placement.new_zeros(len(removed), tower.n_outputs)
        heads = tuple(self.heads[place] for place in removed)
        edits = [self.edits[place] for place in removed]
        without = WithoutHeads(self.model, heads, "ablate", nothing, edits)
        return torch.cat([without(batch.pixels).cpu() for batch in stream(tower, self.images)])

    def candidates(self, removed: list[int], those: Bool[Tensor, " images"]) -> list[int]:
        """The heads that are left, or those that promise most for some images."""
        left = [place for place in range(len(self.heads)) if place not in removed]
        if self.tries is None or self.tries >= len(left):
            return left
        gains = self._gains(removed, those)
        return sorted(left, key=lambda place: -gains[place])[: self.tries]

    def _gains(self, removed: list[int], those: Bool[Tensor, " images"]) -> list[float]:
        """To first order, how much each head's removal adds to the log-probability of the truth."""
        tower, names = image_tower(self.model), read_by_heads(self.heads)
        usual = self.edits[0].reference
        assert isinstance(usual, Means)
        gains = torch.zeros(len(names), tower.cfg.n_heads, dtype=torch.float64)
        for batch in stream(tower, self.images):
            rows = those[batch.index.cpu()]
            if not rows.any():
                continue
            truth = self.truth[batch.index.cpu()][rows]
            with tower.intervene([self.edits[place] for place in removed]):
                _, cache = tower.run_with_cache(
                    batch.pixels[rows.to(batch.pixels.device)],
                    names_filter=names,
                    incl_bwd=lambda outputs, truth=truth: self._log_probability(outputs, truth),
                )
            for row, name in enumerate(names):
                read, slope = cache[name], cache[f"{name}_grad"]
                change = (usual.at(name).to(read) - read) * slope
                gains[row] += change.double().sum((0, 1, 3)).cpu()
        return [gains[names.index(f"blocks.{i}.attn.hook_z"), j].item() for i, j in self.heads]

    def _log_probability(
        self, outputs: Float[Tensor, "batch labels"], truth: Int[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        said = class_logits(self.model, outputs).log_softmax(-1)
        return said.gather(1, truth.to(said.device)[:, None]).sum()
