"""One page about one head: where it looks, what moves it, what it writes, what depends on it."""

from dataclasses import dataclass
from typing import Any

import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.decomposition import singular_directions
from vitreous.heads import head_profile, name_heads, score_heads
from vitreous.hooks import Means
from vitreous.models import HookedCLIP, HookedViT, image_tower
from vitreous.report._earned import require_scores_of
from vitreous.report._head_evidence import HeadEvidence
from vitreous.report._head_sections import make_head_page
from vitreous.report._pictures import one_of, require_images, shown
from vitreous.report._provenance import data_set_facts, model_name
from vitreous.report._question import Classifier, Model, short_names
from vitreous.report._report import Report
from vitreous.report._without_head import effects_on_answers
from vitreous.view import Picture

_DIRECTIONS = 3


@dataclass(frozen=True)
class HeadReport(Report):
    """A page about a head, and the numbers on it.

    Attributes:
        page: The page; a notebook shows it by itself.
        evidence: Every number that it shows.
    """

    evidence: HeadEvidence


def head_report(
    model: Model,
    images: Float[Tensor, "batch channels rows columns"] | Images,
    layer: int,
    head: int,
    *,
    scores: xarray.Dataset | None = None,
    reference: Means | Images | Tensor | None = None,
    count: int = 8,
    batch_size: int | None = None,
    title: str | None = None,
) -> HeadReport:
    """Says of one head where it looks, what it responds to, what it writes, and what depends on it.

    Four kinds of evidence that may contradict one another: a name is earned by attention alone; how
    much a head writes says nothing of its use; singular directions are of the weights, whatever
    there is to be seen; an ablation counts all that later layers make of the head, on these images.
    Passes over the images stream.

    Args:
        model: A vision transformer; a zero-shot classifier, `clip.zero_shot(names)`; or a model of
            images and texts, of which the image tower is meant, without classes.
        images: Preprocessed images, or `vt.data.Images`.
        layer: The head's block; negative ones count from the end.
        head: Its number there; likewise.
        scores: From `score_heads`, on these images or others; measured on these by default.
        reference: Whose mean takes the head's place: images, or means of them at its `hook_z`. The
            model's own means by default; without any, those over `images`, by position.
        count: How many images and patches to show of those that it writes most at.
        batch_size: Images at once; None means what `images` say.
        title: Heading of the page.

    Returns:
        The page with `save`, and the numbers behind it. Effects are in logits, negative where the
        head spoke for the model's answer.

    Raises:
        ValueError: No such head, no images, images of several sizes, clips, or scores of a model
            with other heads.
    """
    tower = image_tower(model)
    require_images(tower, "head_report")
    require_scores_of(tower, scores)
    profile = head_profile(
        tower, images, layer, head, count=count, one_per_image=True, batch_size=batch_size
    )
    layer, head = layer % tower.cfg.n_layers, head % tower.cfg.n_heads
    if scores is None:
        scores = score_heads(tower, images, batch_size=batch_size)
    classifier = _classifier(model)
    effects = None
    if classifier is not None:
        effects = effects_on_answers(classifier, images, layer, reference, batch_size)
    evidence = HeadEvidence(
        layer=layer,
        head=head,
        layout=tower.layout_for(one_of(tower, images, 0)),
        n_images=len(images),
        profile=profile,
        scores=scores.sel(layer=layer, head=head),
        names=tuple(n for n in name_heads(scores) if (n.layer, n.head) == (layer, head)),
        classes=None if classifier is None else short_names(classifier),
        directions=_directions(model, layer, head),
        effects=effects,
    )
    footer = data_set_facts(model, str(len(images)))
    subtitle = f"Layer {layer}, head {head} of {model_name(model)}, over {len(images)} images"
    pictures = _pictures(tower, images, evidence)
    return HeadReport(make_head_page(evidence, pictures, title, subtitle, footer), evidence)


def _classifier(model: Model) -> Classifier | None:
    """The model itself, if it has classes."""
    if isinstance(model, HookedCLIP) or image_tower(model).cfg.pooling.kind == "none":
        return None
    if isinstance(model, HookedViT) and model.cfg.n_classes is None:
        return None
    return model


def _directions(model: Model, layer: int, head: int) -> xarray.Dataset | str:
    if _classifier(model) is None:
        return "The model has no classes to read them by. Pass `clip.zero_shot(names)`."
    try:
        return singular_directions(model, layer, head, k=_DIRECTIONS)
    except ValueError as error:
        return str(error)


def _pictures(tower: HookedViT, images: Any, evidence: HeadEvidence) -> dict[int, Picture]:
    """Those that are shown, by their place."""
    profile = evidence.profile
    places = {*profile["top_image"].values.tolist(), *profile["top_patch_image"].values.tolist()}
    return {
        place: Picture.of(shown(tower, one_of(tower, images, place), evidence.layout))
        for place in places
    }
