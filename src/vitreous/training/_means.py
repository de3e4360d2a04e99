"""Average activations over a data set, in one streaming pass."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import Means, MeansBy, NamesFilter, Site
from vitreous.models import HookedViT, stream


def means(
    model: HookedViT,
    images: Float[Tensor, "batch *frames channels rows columns"] | Images,
    sites: NamesFilter | Site | Iterable[Site],
    *,
    by: MeansBy | None = None,
    description: str | None = None,
) -> Means:
    """Takes the mean of whole activations over a data set.

    Sums run in float64, batch by batch, so the result doesn't depend on the batch size beyond
    rounding.

    Args:
        model: Any `HookedViT`.
        images: Preprocessed images, or `vt.data.Images` for more than fit in one pass.
        sites: Hook points, by name, glob, collection of them, or as sites (a site stands for its
            whole hook point).
        by: None averages over images and tokens, `"position"` keeps tokens apart, `"label"` keeps
            the images' labels apart (and averages over tokens).
        description: Whose mean it is, as reports print it.

    Returns:
        `Means`, for `Ablate(site, "mean", means)`.

    Raises:
        ValueError: No images, or `by="label"` without labels.
    """
    if by not in (None, "label", "position"):
        raise ValueError(f"`by` must be None, 'label' or 'position'; got {by!r}. Pass one of them.")
    names = _names(model, sites)
    totals: dict[str, Tensor] = {}
    counts = torch.zeros(0, dtype=torch.float64)
    for batch in stream(model, images):
        groups = _groups(batch.labels, len(batch), by)
        counts = _grown(counts, groups.shape[0]) + _grown(groups.sum(1), len(counts))
        with torch.no_grad():
            _, cache = model.run_with_cache(batch.pixels, names_filter=names, return_type=None)
        for name in names:
            added = _group_sums(cache[name], groups, model.axes(name), by)
            totals[name] = _grown(totals.get(name, added[:0]), len(added)) + _grown(
                added, len(totals.get(name, added))
            )
    values = {name: _divided(total, counts, by) for name, total in totals.items()}
    count = int(counts.sum())
    axes = {name: model.axes(name) for name in names}
    return Means(values, by, axes, count, description or f"the mean over {count} images")


def _names(model: HookedViT, sites: NamesFilter | Site | Iterable[Site]) -> list[str]:
    if isinstance(sites, Site):
        return [model.resolve_site(sites).name]
    if isinstance(sites, Iterable) and not isinstance(sites, str | tuple):
        several = [model.resolve_site(s).name if isinstance(s, Site) else s for s in sites]
        return model.names.select(several)
    return model.names.select(sites)


def _groups(labels: Tensor | None, n_images: int, by: MeansBy | None) -> Tensor:
    """Which images belong to which mean, `[groups images]`, ones and zeros."""
    if by != "label":
        return torch.ones(1, n_images, dtype=torch.float64)
    if labels is None:
        raise ValueError(
            "`by='label'` needs images with labels; got none. Pass `vt.data.Images` with labels."
        )
    return torch.nn.functional.one_hot(labels.cpu().long()).T.double()


def _group_sums(
    value: Tensor, groups: Tensor, axes: tuple[str, ...], by: MeansBy | None
) -> Float[Tensor, "labels ..."]:
    value = value.double()
    token_axis = next((axes.index(word) for word in ("token", "query") if word in axes), None)
    if by != "position" and token_axis is not None:
        value = value.mean(token_axis)
    return torch.einsum("gi,i...->g...", groups.to(value.device), value).cpu()


def _grown(total: Tensor, n_groups: int) -> Tensor:
    """Sums with room for labels that an earlier batch hadn't."""
    missing = n_groups - len(total)
    return torch.cat([total, total.new_zeros(missing, *total.shape[1:])]) if missing > 0 else total


def _divided(total: Tensor, counts: Tensor, by: MeansBy | None) -> Tensor:
    counts = counts.view(-1, *[1] * (total.ndim - 1))
    # A label that never came has no mean: NaN says so, where a zero would pass for one.
    mean = (total / counts).float()
    return mean if by == "label" else mean[0]
