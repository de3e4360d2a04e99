"""Names that heads have earned, as a page has them."""

from collections.abc import Iterable

import xarray

from vitreous.heads import HeadName
from vitreous.models import HookedViT


def earned(name: HeadName) -> str:
    """A name without its head: "corner head, 0.93"."""
    best = f" ({name.best})" if name.best else ""
    return f"{name.title}{best}, {name.value:.2f}"


def earned_by_head(names: Iterable[HeadName]) -> dict[tuple[int, int], list[str]]:
    """By (layer, head) all names that it has, the highest value first."""
    found: dict[tuple[int, int], list[str]] = {}
    for name in names:
        found.setdefault((name.layer, name.head), []).append(earned(name))
    return found


def require_scores_of(model: HookedViT, scores: xarray.Dataset | None) -> None:
    """Raises for scores of a model with other heads."""
    if scores is None:
        return
    cfg = model.cfg
    sizes = tuple(scores.sizes.get(word, 0) for word in ("layer", "head"))
    if sizes != (cfg.n_layers, cfg.n_heads):
        raise ValueError(
            f"Scores must be of this model's {cfg.n_layers} x {cfg.n_heads} heads; got "
            f"{sizes[0]} x {sizes[1]}. Make them with `score_heads(model, images)`."
        )
