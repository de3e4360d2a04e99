"""Colors that tell what a class is: one hue for dogs, another for fruit, another for vehicles."""

from collections import Counter
from collections.abc import Sequence
from math import cos, radians, sin

_VIVID, _QUIET = 0.14, 0.065  # chroma: what grows is vivid, what is made is quiet
_DARKEST, _LIGHTEST = 0.545, 0.635  # lightness that reads on white as well as on near-black
_HUE_SPAN = 10.0  # degrees from the first class of a family to the last

# Hue by group, in degrees; a class takes the narrowest of its groups that is listed.
_GROWN = {
    "fruit": 8, "food": 22, "primate": 34, "cat": 46, "wild cat": 46, "dog": 60, "wild dog": 74,
    "fox": 74, "mammal": 87, "hoofed mammal": 100, "fungus": 112, "insect": 123, "arachnid": 123,
    "vegetable": 134, "plant": 146, "reptile": 158, "amphibian": 171, "nature": 188,
    "invertebrate": 208, "fish": 229, "bird": 255, "person": 320,
}  # fmt: skip
_MADE = {
    "weapon": 15, "structure": 40, "furniture": 65, "household": 65, "writing": 90, "tool": 115,
    "sport": 140, "toy": 140, "measuring instrument": 165, "medicine": 165, "container": 190,
    "kitchenware": 212, "appliance": 212, "vehicle": 245, "electronics": 280,
    "musical instrument": 308, "clothing": 340,
}  # fmt: skip
_HUES = _GROWN | _MADE


def family_colors(groups: Sequence[str]) -> tuple[str, ...]:
    """A color per class: hue and strength tell its family, lightness its place within.

    All reach a contrast of 3 to 1 on the light and on the dark page, as graphics need to be seen.
    Neighbors in a family get neighboring colors, so the order of the classes should mean
    something; ImageNet's does, for its animals.

    Args:
        groups: One path per class, such as "animal/mammal/dog".
    """
    families = [_family(path) for path in groups]
    sizes, met = Counter(families), Counter[tuple[float, float]]()
    colors = []
    for hue, chroma in families:
        place = met[hue, chroma] / max(sizes[hue, chroma] - 1, 1)
        met[hue, chroma] += 1
        lightness = _DARKEST + (_LIGHTEST - _DARKEST) * place
        colors.append(_hexadecimal(lightness, chroma, hue + _HUE_SPAN * (place - 0.5)))
    return tuple(colors)


def _family(path: str) -> tuple[float, float]:
    part = next(part for part in reversed(path.split("/")) if part in _HUES)
    return _HUES[part], _VIVID if part in _GROWN else _QUIET


def _hexadecimal(lightness: float, chroma: float, hue: float) -> str:
    """The sRGB color of an Oklch one; where a screen has none so strong, the strongest it has."""
    channels = _linear_srgb(lightness, chroma, hue)
    while min(channels) < 0 or max(channels) > 1:
        chroma -= 0.002
        channels = _linear_srgb(lightness, chroma, hue)
    encoded = (12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in channels)
    return "#" + "".join(f"{round(255 * c):02x}" for c in encoded)


def _linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """Ottosson, "A perceptual color space for image processing", 2020."""
    a, b = chroma * cos(radians(hue)), chroma * sin(radians(hue))
    l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3  # noqa: E741
    m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    )
