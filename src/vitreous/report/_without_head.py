"""What happens to a model's own answers when a head says what it says on average."""

from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Means
from vitreous.models import HookedViT, as_numbers, image_tower, stream
from vitreous.patching import ablate_heads
from vitreous.report._question import Classifier, logits_of
from vitreous.training import means


class Lead:
    """How far each image's own answer leads the best other one; the logit itself of one class."""

    def __init__(self, answers: Tensor) -> None:
        self.answers = answers

    def __call__(self, logits: Float[Tensor, "batch labels"]) -> Float[Tensor, " batch"]:
        """Takes the images as often over as there are rows."""
        answers = self.answers.repeat(len(logits) // len(self.answers))[:, None]
        own = logits.gather(1, answers)[:, 0]
        if logits.shape[1] == 1:
            return own
        return own - logits.scatter(1, answers, -torch.inf).amax(1)


def effects_on_answers(
    model: Classifier,
    images: Tensor | Images,
    layer: int,
    reference: Means | Images | Tensor | None,
    batch_size: int | None,
) -> xarray.Dataset:
    """Ablates each head of a layer, batch by batch, and measures the lead of the model's answer.

    Returns:
        `effect[image, head]` and `lead[image]`, the lead without ablation, in logits, and
        `answer[image]`, a class. `attrs["reference"]` says whose mean took the head's place.
    """
    tower = image_tower(model)
    whose = _means_of(tower, images, layer, reference)
    parts: list[dict[str, np.ndarray]] = []
    for batch in stream(tower, images, batch_size=batch_size):
        parts.append(_of_batch(model, tower, batch.pixels, layer, whose))
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return xarray.Dataset(
        {
            "effect": (("image", "head"), found["effect"]),
            "lead": ("image", found["lead"]),
            "answer": ("image", found["answer"]),
        },
        coords={"head": range(tower.cfg.n_heads)},
        attrs={"reference": whose.description, "unit": "logit"},
    )


def _of_batch(
    model: Classifier, tower: HookedViT, pixels: Tensor, layer: int, reference: Means
) -> dict[str, np.ndarray]:
    kept = [f"blocks.{layer}.hook_resid_pre", "hook_post_head_pre_normalize"]
    with torch.no_grad():
        outputs, cache = tower.run_with_cache(pixels, names_filter=kept)
        answers = logits_of(model, outputs).argmax(1)
        target = model.target(Lead(answers), name="lead of the answer")
        sweep = ablate_heads(
            tower, pixels, target, layers=[layer], reference=reference, cache=cache
        ).sel(layer=layer)
    return {
        "effect": sweep["effect"].to_numpy(),
        "lead": sweep["baseline"].to_numpy(),
        "answer": as_numbers(answers).astype(int),
    }


def _means_of(tower: HookedViT, images: Any, layer: int, reference: Any) -> Means:
    if reference is None:
        reference = tower.means
    if isinstance(reference, Means):
        return reference
    given = images if reference is None else reference
    whose = f"the mean over {'these' if reference is None else 'the'} {len(given)} images"
    site = f"blocks.{layer}.attn.hook_z"
    described = f"{whose}, position by position"
    return means(tower, given, site, by="position", description=described)
