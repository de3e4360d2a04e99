"""Contact sheets: many pictures at once, with what they are."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vitreous.terrarium._canvas import Canvas, placed
from vitreous.terrarium._dataset import Task
from vitreous.terrarium._lettering import lettering
from vitreous.terrarium._values import instance, whole

_PAPER, _INK = (252, 251, 247), (60, 52, 66)
_GAP, _LINE = 8, 14
_LARGEST = 2**28  # three quarters of a gigabyte


def contact_sheet(
    task: Task, indices: Sequence[int] | int = 64, *, columns: int = 8, labels: bool = True
) -> Image.Image:
    """Some items of a task side by side, of a clip the first picture.

    Args:
        task: Where they come from.
        indices: Which items, or how many from the first on.
        columns: How many stand side by side.
        labels: Whether their labels stand below.

    Raises:
        ValueError: There is nothing to show, or more than fits on a sheet.
    """
    instance("task", task, Task)
    columns = whole("columns", columns, 1, hint="Try 8.")
    if isinstance(indices, Sequence):
        places = list(indices)
    else:
        places = list(range(whole("indices", indices, 1, len(task), "Try 64.")))
    if not 0 < len(places) * task.size**2 <= _LARGEST:
        raise ValueError(
            f"A contact sheet must have pictures, of at most {_LARGEST} pixels together; got "
            f"{len(places)} of {task.size} x {task.size}. Take fewer, or smaller ones."
        )
    pictures, titles = [], []
    for place in places:
        picture, _ = task[place]
        pictures.append(picture if picture.ndim == 3 else picture[0])
        titles.append(_title(task, place))
    return tiled(pictures, titles if labels else None, columns)


def tiled(
    pictures: Sequence[np.ndarray], titles: Sequence[str] | None = None, columns: int = 8
) -> Image.Image:
    """Pictures of one size side by side, with a line of text below each."""
    size = pictures[0].shape[0]
    step = size + _GAP + (_LINE if titles else 0)
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = Image.new("RGB", (columns * (size + _GAP) + _GAP, rows * step + _GAP), _PAPER)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        left, top = _GAP + column * (size + _GAP), _GAP + row * step
        sheet.paste(Image.fromarray(picture), (left, top))
        if titles:
            _write(sheet, titles[i], left, top + size + 3, size)
    return sheet


def _title(task: Task, index: int) -> str:
    label = task.label(task.scene(index))
    if isinstance(label, tuple):
        return " ".join(name for name, there in zip(task.class_names, label, strict=True) if there)
    return task.class_names[label]


def _write(sheet: Image.Image, text: str, left: int, top: int, width: int) -> None:
    """Writes with the strokes of painted words, as small as needed."""
    drawing = lettering(text, label=False)
    height = min(7.0, width / (len(text) + 0.5))
    fills, _ = placed(
        drawing.points,
        drawing.normals,
        at=(500, 500),
        extent=round(height * 10 * 1000 / width),
        squeeze=100,
        rotation=0,
        flip=False,
        stroke=0,
        size=width,
    )
    canvas = Canvas(width)
    for start, stop, _, _ in drawing.pieces:
        canvas.paint(fills[start:stop], 255)
    ink = canvas.image.reduce(4)
    middle = width // 2
    line = ink.crop((0, middle - _LINE // 2, width, middle + _LINE // 2))
    sheet.paste(_INK, (left, top - 2), line)
