"""Many pairs in three numbers."""

import numpy as np
import xarray

# Numbers drawn at once: resamples, times images.
_AT_ONCE = 1 << 22


def summarize(
    dataset: xarray.Dataset,
    dim: str = "pair",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> xarray.Dataset:
    """The mean of a sweep over its pairs, with a confidence interval.

    The interval is a percentile bootstrap over pairs: the same resamples for all values, drawn
    with `seed`, so that two calls agree. It assumes that pairs are drawn independently of one
    another, makes no assumption about how effects are distributed, and is too narrow for fewer than
    some 20 pairs. Pairs whose clean and corrupt target hardly differ make `normalized` large:
    where its interval is wide and that of `effect` isn't, look at these.

    Args:
        dataset: From `sweep` or another method with a dimension of pairs or images.
        dim: The dimension to average over.
        confidence: Of the interval.
        resamples: How many to draw.
        seed: Of the draw.

    Returns:
        Each variable that has `dim`, with the dimension `statistic` (`"mean"`, `"low"`, `"high"`)
        in its place and in the same unit; others as they are; and `n`, the number of pairs. Of one
        pair the interval is NaN.

    Raises:
        ValueError: No such dimension, or a confidence outside of (0, 1).

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile
        intervals).
    """
    if dim not in dataset.dims:
        raise ValueError(
            f"`dim` must be a dimension of the dataset; got {dim!r}. It has "
            f"{', '.join(map(str, dataset.dims))}."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1; got {confidence}. Pass 0.95.")
    if resamples < 1:
        raise ValueError(f"`resamples` must be 1 or more; got {resamples}. Pass 2000.")
    n = dataset.sizes[dim]
    found = dataset.drop_vars(dim, errors="ignore")
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    for name, values in dataset.data_vars.items():
        if dim in values.dims:
            found[name] = _summary(values, dim, counts, confidence)
    about = {
        "interval": f"{confidence:.0%} percentile bootstrap, {resamples} resamples, seed {seed}"
    }
    return found.assign(n=n).assign_attrs(dataset.attrs | about)


def _summary(
    values: xarray.DataArray, dim: str, counts: np.ndarray, confidence: float
) -> xarray.DataArray:
    kept = [each for each in values.dims if each != dim]
    ordered = values.transpose(dim, *kept)
    plain = ordered.to_numpy().astype(float)
    flat = plain.reshape(len(plain), -1)
    low, high = np.full((2, flat.shape[1]), np.nan)
    if len(plain) > 1:
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        step = max(1, _AT_ONCE // len(counts))
        for start in range(0, flat.shape[1], step):
            chosen = slice(start, start + step)
            low[chosen], high[chosen] = np.quantile(counts @ flat[:, chosen], tails, axis=0)
    stacked = np.stack([flat.mean(0), low, high]).reshape(3, *plain.shape[1:])
    coords = {name: each for name, each in values.coords.items() if dim not in each.dims}
    return xarray.DataArray(
        stacked, dims=("statistic", *kept), coords={"statistic": ["mean", "low", "high"], **coords}
    )
