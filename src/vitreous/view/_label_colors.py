"""A color for each label, the same wherever the label stands at the same place."""

import math
from collections.abc import Sequence

_GOLDEN_ANGLE = 137.50776405003785  # neighbors in the list lie far apart on the circle of hues
_SPREAD = 40.0  # degrees of hue within a group
_CHROMA = 0.125
_LIGHTNESS = (0.66, 0.8, 0.54, 0.73)  # four, so that those of one lightness lie 20 degrees apart


def label_colors(n_labels: int, groups: Sequence[str] | None = None) -> list[str]:
    """Colors as "#rrggbb": one per label, and alike within a group.

    Args:
        n_labels: How many labels there are.
        groups: Where each label stands in a hierarchy ("animal/mammal/dog"); labels of the same
            widest group get neighboring hues.
    """
    if groups is None:
        hues = [_GOLDEN_ANGLE * label for label in range(n_labels)]
    else:
        hues = _grouped_hues([path.split("/")[0] for path in groups])
    return [_hex(hue + 25, _LIGHTNESS[i % len(_LIGHTNESS)]) for i, hue in enumerate(hues)]


def _grouped_hues(widest: Sequence[str]) -> list[float]:
    order = {name: place for place, name in enumerate(dict.fromkeys(widest))}
    sizes = {name: list(widest).count(name) for name in order}
    seen = dict.fromkeys(order, 0)
    hues = []
    for name in widest:
        within = _SPREAD * (seen[name] / max(sizes[name] - 1, 1) - 0.5)
        hues.append(_GOLDEN_ANGLE * order[name] + within)
        seen[name] += 1
    return hues


# OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
def _hex(hue: float, lightness: float) -> str:
    a, b = (_CHROMA * turn(math.radians(hue)) for turn in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
    )
    return "#" + "".join(f"{_byte(value):02x}" for value in linear)


def _byte(linear: float) -> int:
    value = min(max(linear, 0.0), 1.0)
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)
