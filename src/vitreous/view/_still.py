"""One token's attention on the picture, drawn in Python as the page draws it on paper."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from vitreous.view._colors import sequential
from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap

_PAPER, _INK, _MUTED, _LINE = "#fcfcfa", "#182126", "#58666d", "#dfe3e1"
_QUERY = "#c2185b"
_MARGIN, _TITLE, _LEGEND, _CHIP = 16, 52, 56, 26  # pixels: around, above, below, and a chip's row
_NARROWEST = 16
_FAINT = 0.25  # how much of the picture stays under the colors, as in `page.css`
_LUMA = (0.2126, 0.7152, 0.0722, 0)  # how bright red, green and blue are, as in CSS
_SMALL = 128  # the few pixels of a picture smaller than this stay sharp
_SPOKEN = {"cls": "class token", "dist": "distillation token"}


@dataclass(frozen=True)
class Still:
    """What one picture shows.

    Attributes:
        picture: The picture that the model saw.
        tokens: Which token lies where.
        line: A value per token; minus infinity stays without color.
        low: Where the color scale begins.
        high: Where it ends.
        token: The token that has a ring.
        title: The first line above the picture.
        where: The second line, with a place for the token's name.
    """

    picture: Picture
    tokens: TokenMap
    line: Float[np.ndarray, " tokens"]
    low: float
    high: float
    token: int
    title: str
    where: str


def draw(still: Still, width: int) -> Image.Image:
    """The picture under its colors, with a title, a legend, and the tokens that are no patch."""
    if width < _NARROWEST:
        raise ValueError(
            f"`width` must be at least {_NARROWEST} pixels; got {width}. Pass a few hundred."
        )
    height = max(1, round(still.picture.height(width)))
    chips = _chip_boxes(still, width)
    below = max((top for _, top, _ in chips), default=-_CHIP) + _CHIP
    whole = (width + 2 * _MARGIN, _TITLE + height + below + _LEGEND + _MARGIN)
    # Video codecs take even sides only.
    canvas = Image.new("RGB", (whole[0] + whole[0] % 2, whole[1] + whole[1] % 2), _PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((_MARGIN, 10), still.title, _INK, _font(15))
    pen.text((_MARGIN, 30), still.where.format(_spoken(still)), _MUTED, _font(13))
    canvas.paste(Image.fromarray(_painted(still, width, height)), (_MARGIN, _TITLE))
    _draw_ring(pen, still, width, height)
    _draw_chips(pen, still, chips, _TITLE + height + 8)
    _draw_legend(canvas, still, width, _TITLE + height + below + 12)
    return canvas


def box(
    row: int, column: int, grid: tuple[int, int], width: int, height: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a patch, on whole pixels so that no seam shows."""
    rows, columns = grid

    def edge(index: int, count: int, size: int) -> int:
        return int(index * size / count + 0.5)

    left, right = edge(column, columns, width), edge(column + 1, columns, width)
    return left, edge(row, rows, height), right, edge(row + 1, rows, height)


def _painted(still: Still, width: int, height: int) -> UInt8[np.ndarray, "rows columns 3"]:
    faint = _faint(still.picture, width, height)
    colors = _shades(still)
    paint = np.full((height, width, 3), 255, dtype=np.uint8)
    for row, tokens in enumerate(still.tokens.grid):
        for column, token in enumerate(tokens):
            if still.line[token] > -np.inf:
                left, top, right, bottom = box(row, column, _grid(still), width, height)
                paint[top:bottom, left:right] = colors[token]
    return np.rint(faint[..., None] * paint).astype(np.uint8)


@lru_cache(maxsize=2)
def _faint(picture: Picture, width: int, height: int) -> Float[np.ndarray, "rows columns"]:
    """The picture in gray behind a veil of white, 1 for white."""
    sharp = max(picture.rows, picture.columns) < _SMALL
    kind = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
    gray = picture.image().convert("L", _LUMA).resize((width, height), kind)
    return 1 - _FAINT * (1 - np.asarray(gray) / 255)


def _shades(still: Still) -> UInt8[np.ndarray, "tokens 3"]:
    span = still.high - still.low
    seen = np.where(still.line > -np.inf, still.line, still.low)
    return sequential((seen - still.low) / (span if span > 0 else 1))


def _grid(still: Still) -> tuple[int, int]:
    return len(still.tokens.grid), len(still.tokens.grid[0])


def _spoken(still: Still) -> str:
    for row, tokens in enumerate(still.tokens.grid):
        if still.token in tokens:
            return f"patch row {row}, column {tokens.index(still.token)}"
    name = still.tokens.names[still.token]
    return f"the {_SPOKEN[name]}" if name in _SPOKEN else name


def _draw_ring(pen: ImageDraw.ImageDraw, still: Still, width: int, height: int) -> None:
    for row, tokens in enumerate(still.tokens.grid):
        if still.token not in tokens:
            continue
        place = box(row, tokens.index(still.token), _grid(still), width, height)
        left, top, right, bottom = place
        edges = (left + _MARGIN, top + _TITLE, right + _MARGIN - 1, bottom + _TITLE - 1)
        pen.rectangle(edges, outline="white", width=3)
        pen.rectangle(edges, outline=_QUERY, width=2)


def _chip_boxes(still: Still, width: int) -> list[tuple[int, int, int]]:
    """Left, top and width of each token that is no patch, in rows below the picture."""
    left, top, boxes = 0, 8, []
    for token in still.tokens.special:
        size = round(_font(12).getlength(still.tokens.names[token])) + 16
        if left and left + size > width:
            left, top = 0, top + _CHIP
        boxes.append((left, top, size))
        left += size + 6
    return boxes


def _draw_chips(
    pen: ImageDraw.ImageDraw, still: Still, boxes: list[tuple[int, int, int]], below: int
) -> None:
    shades = _shades(still)
    for token, (left, top, size) in zip(still.tokens.special, boxes, strict=True):
        x, y = left + _MARGIN, top + below - 8
        masked = still.line[token] == -np.inf
        line, thickness = (_QUERY, 2) if token == still.token else (_LINE, 1)
        fill = None if masked else tuple(shades[token].tolist())
        pen.rounded_rectangle((x, y, x + size, y + 20), 10, fill, line, thickness)
        dark = not masked and shades[token].mean() < 140
        name = still.tokens.names[token]
        pen.text((x + size / 2, y + 10), name, "white" if dark else _INK, _font(12), "mm")


def _draw_legend(canvas: Image.Image, still: Still, width: int, top: int) -> None:
    pen = ImageDraw.Draw(canvas)
    bar = np.broadcast_to(sequential(np.linspace(0, 1, width)), (10, width, 3))
    canvas.paste(Image.fromarray(np.ascontiguousarray(bar)), (_MARGIN, top))
    pen.rectangle((_MARGIN - 1, top - 1, _MARGIN + width, top + 10), outline=_LINE)
    middle = (still.low + still.high) / 2
    for value, part, anchor in ((still.low, 0, "la"), (middle, 0.5, "ma"), (still.high, 1, "ra")):
        place = (_MARGIN + part * width, top + 15)
        pen.text(place, f"{value:.3g}", _MUTED, _font(12), anchor)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
