"""Numbers with their spread, as tables show them."""

import numpy as np


def percent(part: float) -> str:
    return f"{100 * part:.1f}"


def in_percent(part: float, drawn: np.ndarray) -> str:
    """A part with the middle 95 % of what resamples gave."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{percent(part)} ({percent(low)} .. {percent(high)})"


def share_of(those: np.ndarray) -> str:
    """How many of them, with half the width of the 95 % interval of a share."""
    share = those.mean()
    return f"{percent(share)} ± {percent(1.96 * np.sqrt(share * (1 - share) / len(those)))}"


def mean_and_error(values: np.ndarray, digits: int) -> str:
    """The mean of several measurements of the same, with its standard error."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"
