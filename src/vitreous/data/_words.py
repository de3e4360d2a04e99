"""Words painted on any picture: typographic attacks with our own letters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor

from vitreous.data._letters import LETTER_HEIGHT, letter_strokes, letters_width
from vitreous.data._pixel_forms import PixelForm, Pixels, as_pixels
from vitreous.data._preprocessing import Preprocessing

INK = (44, 34, 52)
PAPER = (255, 253, 248)
_SAMPLES = 4


def paint_word(
    images: Pixels,
    text: str | Sequence[str],
    *,
    at: tuple[float, float] = (0.85, 0.5),
    height: float = 0.1,
    label: bool = True,
    preprocessing: Preprocessing | None = None,
) -> Pixels:
    """Paints a word, dark on a paper label, or without a label in white.

    Args:
        images: One picture or several, in any of the forms of `Pixels`.
        text: Letters, digits, space, + and ?; one for all pictures, or one for each.
        at: Row and column of the middle, as parts of the picture's sides.
        height: Of the letters, as a part of the picture's height.
        label: Whether it stands on paper. Without, white letters may be lost on a light picture.
        preprocessing: The model's, for pictures on its scale: says which numbers its colors are.

    Returns:
        The pictures in the form that came, bit for bit the same outside of `word_mask`.

    Raises:
        ValueError: A letter that can't be written, or a word that doesn't fit into the picture.

    References:
        Goh et al., "Multimodal Neurons in Artificial Neural Networks", 2021, section "Typographic
        attacks". Departs from it: letters are strokes and no handwriting.
    """
    form = as_pixels(images)
    texts = [text] * len(form.values) if isinstance(text, str) else list(text)
    if len(texts) != len(form.values):
        raise ValueError(
            f"`text` must be one word or one for each of {len(form.values)} pictures; got "
            f"{len(texts)}. Pass as many."
        )
    ink, paper = (_colors(form, color, preprocessing) for color in (INK, PAPER))
    size = tuple(form.values.shape[-2:])
    painted = [_painted(each, size, at, height, label) for each in texts]
    letters, sheets = (torch.stack(x)[:, None].to(form.numbers) for x in zip(*painted, strict=True))
    numbers = form.numbers * (1 - sheets) + paper * sheets
    numbers = numbers * (1 - letters) + (ink if label else paper) * letters
    return form.with_numbers(numbers, ((letters > 0) | (sheets > 0))[:, 0])


def word_mask(
    size: tuple[int, int],
    text: str,
    *,
    at: tuple[float, float] = (0.85, 0.5),
    height: float = 0.1,
    label: bool = True,
) -> Bool[Tensor, "rows columns"]:
    """The pixels that `paint_word` touches in a picture of that many rows and columns."""
    letters, sheet = _painted(text, size, at, height, label)
    return (letters > 0) | (sheet > 0)


def _painted(
    text: str, size: tuple[int, ...], at: tuple[float, float], height: float, label: bool
) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, "rows columns"]]:
    """How much of each pixel letters cover, and how much their label."""
    strokes = letter_strokes(text)
    step = height * size[0] * _SAMPLES / LETTER_HEIGHT
    middle = (at[1] * size[1] * _SAMPLES, at[0] * size[0] * _SAMPLES)
    half = (letters_width(text) * step / 2, LETTER_HEIGHT * step / 2)
    margin = 3 * step if label else step
    _require_room(text, size, middle, (half[0] + margin, half[1] + margin))
    letters, sheet = (Image.new("L", (size[1] * _SAMPLES, size[0] * _SAMPLES)) for _ in range(2))
    if label:
        reach = (half[0] + margin, half[1] + margin)
        corners = [middle[i] + sign * reach[i] for sign in (-1, 1) for i in (0, 1)]
        ImageDraw.Draw(sheet).rounded_rectangle(corners, radius=1.5 * step, fill=255)
    pen = ImageDraw.Draw(letters)
    for stroke in strokes:
        corner = (middle[0] - half[0], middle[1] - half[1])
        points = [(corner[0] + x * step, corner[1] + y * step) for x, y in stroke]
        _draw(pen, points, 1.3 * step)
    return _coverage(letters), _coverage(sheet)


def _draw(pen: Any, points: list[tuple[float, float]], thickness: float) -> None:
    """A stroke with round ends and corners."""
    pen.line(points, fill=255, width=max(1, round(thickness)))
    reach = thickness / 2
    for x, y in points:
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)


def _coverage(samples: Image.Image) -> Float[Tensor, "rows columns"]:
    return torch.from_numpy(np.array(samples.reduce(_SAMPLES))).float() / 255


def _require_room(
    text: str, size: tuple[int, ...], middle: tuple[float, float], half: tuple[float, float]
) -> None:
    sides = (size[1] * _SAMPLES, size[0] * _SAMPLES)
    if any(m - h < 0 or m + h > side for m, h, side in zip(middle, half, sides, strict=True)):
        wide, high = (2 * h / side for h, side in zip(half, sides, strict=True))
        raise ValueError(
            f"`text` must lie within the picture; got {text!r}, which takes {wide:.2f} of its "
            f"width and {high:.2f} of its height. Make `height` smaller, or move it with `at`."
        )


def _colors(
    form: PixelForm, color: tuple[int, int, int], preprocessing: Preprocessing | None
) -> Float[Tensor, "1 channels 1 1"]:
    """A color on the scale of the pictures."""
    n_channels = form.values.shape[1]
    if n_channels not in (1, 3):
        raise ValueError(
            f"`images` must have 1 or 3 channels to be painted on; got {n_channels}. "
            "Paint before you add others."
        )
    own = color if n_channels == 3 else (round(sum(color) / 3),)
    levels = torch.tensor(own, dtype=torch.uint8)[None, :, None, None]
    if not form.values.is_floating_point():
        return levels.to(form.numbers)
    if preprocessing is None:
        raise ValueError(
            "`preprocessing` must say what colors are in a prepared tensor; got none. "
            "Pass `model.preprocessing`, or paint on the picture itself."
        )
    return preprocessing.normalize(levels).to(form.numbers)
