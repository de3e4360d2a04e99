"""One page that looks inside a model at one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray
from jaxtyping import UInt8
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Means
from vitreous.models import HookedViT, image_tower
from vitreous.report._earned import require_scores_of
from vitreous.report._evidence import Evidence, Provenance
from vitreous.report._gather import gather
from vitreous.report._provenance import provenance
from vitreous.report._question import Model, as_classifier, require_classifier
from vitreous.report._report import Report
from vitreous.report._sections import make_page, prediction_line
from vitreous.terrarium import Scene, render_image


@dataclass(frozen=True)
class Explanation(Report):
    """A report and the numbers in it.

    Attributes:
        page: The report; a notebook shows it by itself.
        evidence: Every number that the report shows.
        provenance: Where it comes from.
    """

    evidence: Evidence
    provenance: Provenance

    @property
    def prediction(self) -> str:
        """The top prediction with its probability: "3 (97.1%)"."""
        return prediction_line(self.evidence)

    @property
    def target(self) -> str:
        """What is explained, in words."""
        return self.evidence.question.text

    @property
    def value(self) -> float:
        """The target's value on this image, in logits."""
        return self.evidence.value


def explain(
    model: Model,
    image: Any,
    *,
    target: str | int | None = None,
    minus: str | int | None = "runner-up",
    labels: Sequence[str] | None = None,
    reference: Images | Means | None = None,
    heads: xarray.Dataset | None = None,
    title: str | None = None,
) -> Explanation:
    """Explains one prediction: lens, direct shares, attention and head ablation on one page.

    The model runs once; lens, shares and attention are read from that run, and the ablation
    restarts from it. All numbers are exact for that run but the ablation's, which depend on whose
    mean takes a head's place; the page says whose. It warns of shares that later components take
    back. One image can't tell what a head does in general, so heads have names only where scores
    of a data set are given.

    Args:
        model: A glass ViT with a classifier; a model of images and texts, with `labels`; or a
            zero-shot classifier of one, `clip.zero_shot(names)`.
        image: A path, a PIL image, a uint8 array or whatever `model.preprocess` takes; one
            preprocessed image `[1, channels, rows, columns]` of floating-point numbers; or a
            terrarium `Scene`, which is rendered at the model's own size.
        target: The class to explain, by name or index; the top prediction by default.
        minus: The class to compare it with: the strongest other one by default; `"none"` (or
            None) explains the raw logit.
        labels: Of a model of images and texts, the texts to choose from, taken as they are.
        reference: Whose mean takes a head's place in the ablation: images, or means of them. The
            model's own means by default; without any, those over this picture's own tokens.
        heads: From `score_heads`, on a data set: the names that heads earn there are shown.
        title: Heading of the page.

    Returns:
        The page with `save`, and the numbers behind it. Target, shares and effects are in logits;
        positive speaks for the target.

    Raises:
        ValueError: The model doesn't classify single images, the image isn't one image, a model of
            images and texts without `labels`, or scores of a model with other heads.
        UnknownNameError: No class has that name.
        ImageError: The image can't be read.
    """
    classifier = as_classifier(model, labels)
    require_classifier(classifier, "explain")
    tower = image_tower(classifier)
    require_scores_of(tower, heads)
    x = _one_image(tower, image)
    evidence = gather(classifier, x, target, minus, reference, heads)
    origin = provenance(model, image, evidence)
    return Explanation(make_page(evidence, origin, title), evidence, origin)


def _one_image(model: HookedViT, image: Any) -> Tensor:
    if isinstance(image, Scene):
        image = _rendered(image, max(model.cfg.image_shape))
    prepared = isinstance(image, Tensor) and image.is_floating_point()
    x = image.to(next(model.parameters())) if prepared else model.preprocess(image)
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(
            f"`explain` takes one image; got a batch of shape {list(x.shape)}. "
            "Call it once per image."
        )
    return x


def _rendered(scene: Scene, size: int) -> UInt8[np.ndarray, "rows columns 3"]:
    if scene.frames > 1:
        raise ValueError(
            f"`explain` takes one image; got a clip of {scene.frames}. "
            "Pass one of them: `render_image(scene, frame=0)`."
        )
    return render_image(scene, size)
