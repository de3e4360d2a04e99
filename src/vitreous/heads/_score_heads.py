"""Scores of all heads on a data set."""

from collections.abc import Sequence
from typing import Any

import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.data import Images
from vitreous.heads._pictures import Known
from vitreous.heads._scoring import Scoring
from vitreous.heads._seen import Of
from vitreous.heads._table import HEAD_SCORES, HeadScore
from vitreous.models import HookedCLIP, HookedViT, image_tower, stream


def score_heads(
    model: HookedViT | HookedCLIP,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    *,
    of: Of = "pattern",
    scores: Sequence[str] | None = None,
    positions: Any = "all",
    masks: Tensor | None = None,
    identities: Int[Tensor, "images patches"] | None = None,
    tolerance: float = 0.0,
    batch_size: int | None = None,
) -> xarray.Dataset:
    """Measures what each head attends to: corners, its own row, copies, objects and so on.

    One run of the model per batch; a layer's attention is reduced as the run comes by, and never
    kept. `HEAD_SCORES` defines the scores. Those of mass are 0 for a head that attends to all keys
    alike and 1 for one that attends as the name says alone; they are negative for one that avoids
    it. Scores that try candidates (offsets, periods, patches) report the one with the highest mean
    over images, which for a head without any is a little above 0: the highest of many.

    Args:
        model: A vision transformer, or a model of images and texts, of which the image tower is
            meant. Where attention is divided over time and space, that over space is measured; a
            clip's rows, columns, neighborhoods and periods lie within a frame.
        images: Preprocessed images, or `vt.data.Images`.
        of: `"pattern"`, or `"scores"`, in front of the softmax: there a score is the correlation
            with its template over the keys that a query sees, averaged over queries, since scores
            have a meaning only up to a constant per query. `"content"` compares those standardized
            scores; `"uniform"` and `"distance"` are not defined on them, and NaN.
        scores: Names of the scores to measure; None means all.
        positions: The queries that count, as `TokenLayout.select` takes them. Scores that ask
            where a key is relative to a patch count those of them that are patches.
        masks: Label maps at the images' size: -1 background, -3 painted words, all else an object;
            or bool, True for objects. None means those of the `Images`.
        identities: A number for what each patch shows, by image, -1 where it shows nothing. None
            means that pixels tell: patches are copies when the root mean square of their difference
            is at most `tolerance`, and show nothing when their own deviation is.
        tolerance: In units of the preprocessed pixels; 0 asks for equal pixels.
        batch_size: Images at once; None means what `images` say.

    Returns:
        `mean[score, layer, head]` and `spread` (standard deviation over images), `images` (how
        many had a value; `"duplicate"` needs copies in the picture, `"foreground"` an object),
        `best` (the candidate that the numbers are about, such as `1 up, 2 right`), and
        `chance[score]`, what uniform attention has. NaN where a score is not defined. `"content"`
        compares images with one another and so has no spread.

    Raises:
        UnknownNameError: A score that there isn't.
        ValueError: No images, images of several sizes, masks or identities that don't fit, a score
            asked for by name without what it needs, or attention that isn't finite.

    References:
        Definitions are this library's own. Of the kinds: Vig and Belinkov, "Analyzing the
        Structure of Attention in a Transformer Language Model", 2019, sections 4.2 and 4.3
        (distance, variability over inputs); Olsson et al., "In-context Learning and Induction
        Heads", 2022 (prefix matching); Joseph and Nanda, "Laying the Foundations for Vision and
        Multimodal Mechanistic Interpretability", 2024 (corner, edge and modulus heads).
    """
    model = image_tower(model)
    if of not in ("pattern", "scores"):
        raise ValueError(f"`of` must be 'pattern' or 'scores'; got {of!r}. Pass one of them.")
    if tolerance < 0:
        raise ValueError(
            f"`tolerance` must not be negative; got {tolerance}. Pass 0 for equal pixels."
        )
    known = Known(masks, identities, tolerance)
    scoring = Scoring(model, of, _chosen(scores), positions)
    for batch in stream(model, images, batch_size=batch_size):
        known.require_fit(len(images), scores, batch)
        scoring.see(batch, known)
    return scoring.result()


def _chosen(names: Sequence[str] | None) -> list[HeadScore]:
    if names is not None and not names:
        raise ValueError("`scores` must name a score; got none. Pass None for all.")
    for name in names or ():
        if name not in HEAD_SCORES:
            raise unknown("head score", name, HEAD_SCORES, "`HEAD_SCORES` lists them all.")
    return [HEAD_SCORES[name] for name in (HEAD_SCORES if names is None else names)]
