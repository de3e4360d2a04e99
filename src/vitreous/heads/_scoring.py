"""All scores of all heads, in one pass over a data set."""

from typing import Any

import torch
import xarray
from torch import Tensor

from vitreous.data import Batch
from vitreous.heads._attention_pass import watch_attention
from vitreous.heads._content import Content
from vitreous.heads._moments import Moments
from vitreous.heads._pictures import Known, Pictures
from vitreous.heads._seen import Of, Seen, Setting, standardized
from vitreous.heads._table import HeadScore
from vitreous.models import HookedViT, as_numbers


class Scoring:
    """A run through a data set."""

    def __init__(self, model: HookedViT, of: Of, scores: list[HeadScore], positions: Any) -> None:
        self.model, self.scores, self.positions = model, scores, positions
        self.of: Of = of
        layers = range(model.cfg.n_layers)
        self.moments = {s.name: [Moments() for _ in layers] for s in scores if s.measure}
        self.contents = [Content() for _ in layers]
        self.setting: Setting | None = None

    def see(self, batch: Batch, known: Known) -> None:
        self.setting = setting = Setting.of_run(
            self.model, batch.pixels, self.of, self.positions, self.setting
        )
        pictures = known.pictures(setting.places.layout, batch)

        def react(layer: int, attention: Tensor) -> None:
            if self.of == "scores":
                attention = standardized(attention, setting.visible)
            self._measure(layer, Seen(setting, attention, pictures))

        watch_attention(self.model, batch.pixels, self.of, react)

    def result(self) -> xarray.Dataset:
        rows = [self._row(score) for score in self.scores]
        dims = ("score", "layer", "head")
        variables: dict[str, Any] = {
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
            counts = torch.where(means.isnan(), 0, self.contents[0].count)
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
