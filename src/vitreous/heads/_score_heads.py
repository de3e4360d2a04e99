"""Scores of all heads on a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import xarray
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.data import Batch, Images
from vitreous.heads._attention_pass import watch_attention
from vitreous.heads._content import Content
from vitreous.heads._moments import Moments
from vitreous.heads._pictures import Pictures
from vitreous.heads._seen import Of, Seen, Setting, standardized
from vitreous.heads._table import HEAD_SCORES, HeadScore
from vitreous.models import HookedCLIP, HookedViT, as_numbers, image_tower, stream


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
    given = _Given(masks, identities, tolerance)
    pass_ = _Pass(model, of, _chosen(scores), positions)
    for batch in stream(model, images, batch_size=batch_size):
        given.require_fit(len(images), scores, batch)
        pass_.see(batch, given)
    return pass_.result()


@dataclass(frozen=True)
class _Given:
    """What the caller knows of the images."""

    masks: Tensor | None
    identities: Tensor | None
    tolerance: float

    def pictures(self, setting: Setting, batch: Batch) -> Pictures:
        masks, identities = (
            each if each is None else each[batch.index.to(each.device)].to(batch.pixels.device)
            for each in (self.masks, self.identities)
        )
        masks = batch.masks if masks is None else masks
        layout = setting.places.layout
        if identities is not None and identities.shape[1] != layout.n_patches:
            raise ValueError(
                f"`identities` must have a number for each of {layout.n_patches} patches; got "
                f"{identities.shape[1]}. Pass one row per image."
            )
        return Pictures(layout, batch.pixels, masks, identities, self.tolerance)

    def require_fit(self, n_images: int, scores: Sequence[str] | None, batch: Batch) -> None:
        for name, each in (("masks", self.masks), ("identities", self.identities)):
            if each is not None and len(each) != n_images:
                raise ValueError(
                    f"`{name}` must have one entry per image, {n_images}; got {len(each)}. "
                    "Check that both come from the same set."
                )
        asked = {"foreground", "text"} & set(scores or ())
        if asked and self.masks is None and batch.masks is None:
            raise ValueError(
                f"Score {min(asked)!r} needs `masks`; got none. Pass them, or images that have "
                "some: `task.images(masks='objects')`."
            )


class _Pass:
    """A run through a data set."""

    def __init__(self, model: HookedViT, of: Of, scores: list[HeadScore], positions: Any) -> None:
        self.model, self.of, self.scores, self.positions = model, of, scores, positions
        layers = range(model.cfg.n_layers)
        self.moments = {s.name: [Moments() for _ in layers] for s in scores if s.measure}
        self.contents = [Content() for _ in layers]
        self.setting: Setting | None = None

    def see(self, batch: Batch, given: _Given) -> None:
        self.setting = setting = Setting.of_run(
            self.model, batch.pixels, self.of, self.positions, self.setting
        )
        pictures = given.pictures(setting, batch)

        def react(layer: int, attention: Tensor) -> None:
            if self.of == "scores":
                attention = standardized(attention, setting.visible)
            self._measure(layer, Seen(setting, attention, pictures))

        watch_attention(self.model, batch.pixels, self.of, react)

    def result(self) -> xarray.Dataset:
        rows = [self._row(score) for score in self.scores]
        dims = ("score", "layer", "head")
        variables = {
            name: (dims, as_numbers(torch.stack([row[name] for row in rows])))
            for name in ("mean", "spread", "images")
        }
        variables["best"] = (dims, [row["best"] for row in rows])
        variables["chance"] = ("score", [self._chance(score) for score in self.scores])
        return xarray.Dataset(
            variables,
            coords={
                "score": [score.name for score in self.scores],
                "layer": list(range(self.model.cfg.n_layers)),
                "head": list(range(self.model.cfg.n_heads)),
            },
            attrs={"of": self.of, "positions": str(self.positions)},
        )

    def _measure(self, layer: int, seen: Seen) -> None:
        for score in self.scores:
            if score.name == "content":
                self.contents[layer].add(seen)
            elif score.measure and (self.of == "pattern" or score.of_scores):
                values = score.measure(seen)
                if values is not None and values.shape[-1]:
                    self.moments[score.name][layer].add(values)

    def _row(self, score: HeadScore) -> dict[str, Any]:
        """Mean, spread, number of images and best candidate of one score, by layer and head."""
        assert self.setting is not None
        if score.name == "content":
            means = torch.stack([content.value() for content in self.contents]).cpu()
            counts = torch.full(means.shape, self.contents[0].count)
            return self._as_row(means, torch.full_like(means, torch.nan), counts)
        layers = self.moments[score.name]
        if not layers[0].count.ndim:
            nothing = torch.full((len(layers), self.model.cfg.n_heads), torch.nan)
            return self._as_row(nothing, nothing, torch.zeros_like(nothing).long())
        means, spreads, counts = (
            torch.stack([getattr(layer, what) for layer in layers]).cpu()
            for what in ("mean", "spread", "count")
        )
        best = means.nan_to_num(-torch.inf).argmax(-1, keepdim=True)
        values = (each.gather(-1, best)[..., 0] for each in (means, spreads, counts))
        row = self._as_row(*values)
        if score.candidates:
            names = score.candidates(self.setting)
            there = zip(best[..., 0].tolist(), row["images"].tolist(), strict=True)
            row["best"] = [
                [names[i] if n else "" for i, n in zip(*layer, strict=True)] for layer in there
            ]
        return row

    def _as_row(self, mean: Tensor, spread: Tensor, images: Tensor) -> dict[str, Any]:
        names = [[""] * mean.shape[1] for _ in range(mean.shape[0])]
        return {"mean": mean, "spread": spread, "images": images, "best": names}

    def _chance(self, score: HeadScore) -> float:
        """What uniform attention has."""
        assert self.setting is not None
        if self.of == "scores":
            return 0.0 if score.of_scores else torch.nan
        if score.uniform is not None or score.measure is None:
            return score.uniform or 0.0
        pattern = self.setting.uniform[None, None]
        empty = Pictures(self.setting.places.layout, pattern)
        values = score.measure(Seen(self.setting, pattern, empty))
        return torch.nan if values is None else float(values)


def _chosen(names: Sequence[str] | None) -> list[HeadScore]:
    for name in names or ():
        if name not in HEAD_SCORES:
            raise unknown("head score", name, HEAD_SCORES, "`HEAD_SCORES` lists them all.")
    return [HEAD_SCORES[name] for name in (HEAD_SCORES if names is None else names)]
