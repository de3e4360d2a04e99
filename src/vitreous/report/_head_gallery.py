"""One page of all heads of a model: where they look, on average and on single images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.heads import HeadName, head_patterns, name_heads, score_heads
from vitreous.models import HookedViT, TokenLayout, as_numbers, image_tower
from vitreous.report._average_maps import average_maps
from vitreous.report._earned import earned_by_head, require_scores_of
from vitreous.report._pictures import one_of, require_images, shown
from vitreous.report._provenance import data_set_facts, model_name
from vitreous.report._question import Model
from vitreous.report._report import Report
from vitreous.view import MOST_SCORES, HeadCards, HeadImageMatrix, Page, Picture, Section, TokenMap

_LISTED = 12


@dataclass(frozen=True)
class HeadGalleryEvidence:
    """What a gallery of heads shows, as numbers.

    Attributes:
        scores: Of all heads, as `score_heads` returns them.
        names: Names that heads earn by these.
        patterns: Mean patterns of all heads, as `head_patterns` returns them.
        examples: Places, in the images given, of those that are shown.
        layout: Where tokens are.
    """

    scores: xarray.Dataset
    names: tuple[HeadName, ...]
    patterns: xarray.Dataset
    examples: tuple[int, ...]
    layout: TokenLayout


@dataclass(frozen=True)
class HeadGallery(Report):
    """A page of all heads, and the numbers on it.

    Attributes:
        page: The page; a notebook shows it by itself.
        evidence: Every number that it shows, but for the patterns on single images.
    """

    evidence: HeadGalleryEvidence


def head_gallery(
    model: Model,
    images: Float[Tensor, "batch channels rows columns"] | Images,
    *,
    scores: xarray.Dataset | None = None,
    examples: int | Sequence[int] = 6,
    batch_size: int | None = None,
    title: str | None = None,
) -> HeadGallery:
    """Shows all heads of a model: mean patterns, names that they earn, and single images.

    Each head has a card with its mean pattern by offset, that of the class token and that over all
    queries, and the names that `name_heads` finds; below, heads by images show what stays the same
    across images. Passes over the images stream.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant.
        images: Preprocessed images, or `vt.data.Images`.
        scores: From `score_heads`, on these images or others; measured on these by default.
        examples: How many of the images to show, the first ones, or the places of some.
        batch_size: Images at once; None means what `images` say.
        title: Heading of the page.

    Returns:
        The page with `save`, and the numbers behind it.

    Raises:
        ValueError: No images, images of several sizes, clips, scores of a model with other heads,
            an example that isn't there, or more heads than a page can hold.
    """
    tower = image_tower(model)
    require_images(tower, "head_gallery")
    require_scores_of(tower, scores)
    places = _examples(examples, len(images))
    _must_fit_a_page(tower, len(places))
    patterns = head_patterns(tower, images, batch_size=batch_size)
    if scores is None:
        scores = score_heads(tower, images, batch_size=batch_size)
    layout = tower.layout_for(one_of(tower, images, places[0]))
    names = tuple(name_heads(scores))
    evidence = HeadGalleryEvidence(scores, names, patterns, places, layout)
    matrix = _matrix(tower, images, evidence)
    n_heads = tower.cfg.n_layers * tower.cfg.n_heads
    n_named = len({(name.layer, name.head) for name in names})
    page = Page(
        title=title or "What does each head look at?",
        subtitle=f"All heads of {model_name(model)}, over {len(images)} images",
        facts={"heads": str(n_heads), "with a name": str(n_named)},
        sections=[_cards(evidence), matrix],
        footer=data_set_facts(model, f"{len(images)}, of which {len(places)} are shown"),
    )
    return HeadGallery(page, evidence)


def _cards(evidence: HeadGalleryEvidence) -> Section:
    clear = [str(name) for name in sorted(evidence.names, key=lambda name: -name.value)]
    more = f", and {len(clear) - _LISTED} more" if len(clear) > _LISTED else ""
    return Section(
        "All heads",
        [
            HeadCards(
                average_maps(evidence.patterns, evidence.layout), earned_by_head(evidence.names)
            )
        ],
        lede="Each card is a head's attention, averaged over images. By offset, the framed middle "
        "is the patch that looks, and a cell is the patch that far away from it. Choose a head to "
        "read its values; its address leads back to it.",
        note=(f"Clearest names: {', '.join(clear[:_LISTED])}{more}. " if clear else "")
        + "A name is earned by a score from 0 (attends to all alike) to 1 (as the name says "
        "alone), and describes attention, not what a head does with it. A mean hides what follows "
        "the content of an image: compare the images below.",
    )


def _matrix(tower: HookedViT, images: Tensor | Images, evidence: HeadGalleryEvidence) -> Section:
    tokens = TokenMap.of(evidence.layout)
    seen = [one_of(tower, images, place) for place in evidence.examples]
    pictures = [Picture.of(shown(tower, x, evidence.layout)) for x in seen]
    labels = [f"image {place}" for place in evidence.examples]
    scores = (_scores(tower, x) for x in seen)
    queries = None if len(tokens.special) <= 2 else tokens.special[:1]
    viewer = HeadImageMatrix.of(pictures, tokens, scores, queries=queries, labels=labels)
    return Section(
        "Heads by images",
        [viewer],
        lede="What stays the same from image to image belongs to the head; what changes "
        "follows the content. Order the rows by how alike their maps are.",
    )


def _scores(tower: HookedViT, x: Tensor) -> Float[np.ndarray, "layers heads queries keys"]:
    names = [f"blocks.{layer}.attn.hook_attn_scores" for layer in range(tower.cfg.n_layers)]
    with torch.no_grad():
        cache = tower.run_with_cache(x, names_filter=names, return_type=None)[1]
    return as_numbers(torch.cat([cache[name] for name in names]))


def _examples(examples: int | Sequence[int], count: int) -> tuple[int, ...]:
    if not count:
        raise ValueError("`images` must hold an image; got none. Pass a data set with images.")
    places = tuple(range(min(examples, count)) if isinstance(examples, int) else examples)
    if not places or any(not 0 <= place < count for place in places):
        raise ValueError(
            f"`examples` must be a number of images, or places in 0..{count - 1}; got {examples}. "
            "Pass 6."
        )
    return places


def _must_fit_a_page(tower: HookedViT, n_examples: int) -> None:
    cfg, n_tokens = tower.cfg, tower.layout.n_tokens
    n_heads = cfg.n_layers * cfg.n_heads
    most = MOST_SCORES // (3 * n_tokens * n_examples)
    if n_heads > most:
        raise ValueError(
            f"A page must hold at most {most} heads with {n_examples} images of {n_tokens} tokens; "
            f"got {n_heads}. Pass fewer `examples`, or look at one head: `head_report`."
        )
