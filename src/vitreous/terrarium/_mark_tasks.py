"""Tasks on grids of marks, each with the causal model that solves it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from vitreous._errors import unknown
from vitreous.data import ClassNames, Images, Sample
from vitreous.terrarium._causal_model import PICTURE, CausalModel, Values, Variable
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._marks import (
    CELLS,
    COLORS,
    MARKS_PREPROCESSING,
    NIGHT,
    PAPER,
    SIDE,
    colored_cells,
    empty_cells,
    paint,
)

N_COLORS = len(COLORS)


@dataclass(frozen=True)
class MarkTask:
    """A question about pictures of marks, answered by a causal model.

    A picture is a function of the task, the split and its number alone.

    Attributes:
        name: Of the task.
        about: The question.
        labels: The answers.
        causal: Solves it, and names the part of a network that is to stand for each variable.
        draw: The symbols of a picture, one per cell.
        cells: How each symbol looks.
    """

    name: str
    about: str
    labels: ClassNames
    causal: CausalModel
    draw: Callable[[Chance], Int[np.ndarray, "rows columns"]] = field(repr=False)
    cells: UInt8[np.ndarray, "inner *pixels 3"] = field(repr=False)

    def images(self, split: str = "train", count: int = 1024) -> Images:
        """The first pictures of a split, with labels; their label maps are the symbols.

        Args:
            split: Any word: "train", "test", or another for pictures that are in neither.
            count: How many pictures; there is no end of them.
        """
        return Images(_Read(self.name, split), count, class_names=self.labels)

    def symbols(self, split: str, index: int) -> Int[Tensor, "rows columns"]:
        """What a picture shows, cell by cell."""
        return torch.from_numpy(self.draw(Chance(self.name, split, index)))

    def answer(self, symbols: Int[Tensor, "batch rows columns"]) -> Int[Tensor, " batch"]:
        """The right answers."""
        return self.causal.label(self.causal.values(symbols))

    def picture(self, split: str, index: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """A picture as it is shown."""
        chance = Chance(self.name, split, index)
        return paint(self.draw(chance), self.cells, chance)


@dataclass(frozen=True)
class _Read:
    """Reads a picture; unlike a closure, it goes to another process."""

    task: str
    split: str

    def __call__(self, index: int) -> Sample:
        task = mark_task(self.task)
        levels = torch.from_numpy(task.picture(self.split, index)).permute(2, 0, 1)
        symbols = task.symbols(self.split, index)
        mask = symbols.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
        label = int(task.answer(symbols[None]))
        return Sample(MARKS_PREPROCESSING.normalize(levels[None])[0], label, mask)


def mark_task(name: str) -> MarkTask:
    """A task on pictures of marks.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in MARK_TASKS:
        raise unknown("task of marks", name, MARK_TASKS, f"There are {', '.join(MARK_TASKS)}.")
    return MARK_TASKS[name]


def _colors_everywhere(chance: Chance) -> Int[np.ndarray, "rows columns"]:
    return chance.noise("colors", CELLS, CELLS).astype(np.int64) * N_COLORS // 256


# ---- common

FIRST, SECOND = (1, 0), (2, 3)


def _draw_common(chance: Chance) -> Int[np.ndarray, "rows columns"]:
    symbols = _colors_everywhere(chance)
    step = 0 if chance.below("common", 2) else chance.between("step", 1, N_COLORS - 1)
    symbols[SECOND] = (symbols[FIRST] + step) % N_COLORS
    return symbols


def _color_in_common(values: Values) -> Tensor:
    return torch.where(values["first"] == values["second"], values["first"], N_COLORS)


COMMON = MarkTask(
    name="common",
    about="which color do the marks in two cells have in common, if any?",
    labels=ClassNames((*COLORS, "none")),
    causal=CausalModel(
        (
            Variable(
                "first",
                "a0.h1",
                {PICTURE: "v"},
                "the color in the first cell",
                lambda known: known[PICTURE][:, *FIRST],
            ),
            Variable(
                "second",
                "a1.h2",
                {PICTURE: "v"},
                "the color in the second cell",
                lambda known: known[PICTURE][:, *SECOND],
            ),
            Variable(
                "common",
                "m1",
                {"first": "", "second": ""},
                "the color of both, or none",
                _color_in_common,
            ),
        )
    ),
    draw=_draw_common,
    cells=colored_cells(PAPER),
)


# ---- cued: symbols are the colors, then an empty cell, and all of it again by night

EMPTY, BY_NIGHT = N_COLORS, N_COLORS + 1


def _draw_cued(chance: Chance) -> Int[np.ndarray, "rows columns"]:
    symbols = np.full((CELLS, CELLS), EMPTY, np.int64)
    for side, first in (("left", 0), ("right", CELLS // 2)):
        row = chance.below(f"{side} row", CELLS)
        column = first + chance.below(f"{side} column", CELLS // 2)
        symbols[row, column] = chance.below(f"{side} color", N_COLORS)
    return symbols + BY_NIGHT * chance.below("night", 2)


def _night(values: Values) -> Tensor:
    return (values[PICTURE][:, 0, 0] >= BY_NIGHT).long()


def _color_of_a_side(values: Values) -> Tensor:
    left, right = (half.flatten(1) for half in (values[PICTURE] % BY_NIGHT).chunk(2, 2))
    side = torch.where(values["night"][:, None] == 1, left, right)
    return side.masked_fill(side == EMPTY, -1).amax(1)


CUED = MarkTask(
    name="cued",
    about="which color is the mark on the left, by night, or the one on the right, by day?",
    labels=ClassNames(tuple(COLORS)),
    causal=CausalModel(
        (
            Variable("night", "a0.h3", {PICTURE: "v"}, "whether it is night", _night),
            Variable(
                "color",
                "a1.h1",
                {PICTURE: "kv", "night": "q"},
                "the color of the mark on the side that this tells",
                _color_of_a_side,
            ),
        )
    ),
    draw=_draw_cued,
    cells=np.concatenate(
        [cells(ground) for ground in (PAPER, NIGHT) for cells in (colored_cells, empty_cells)]
    ),
)


# ---- told: the pictures of `cued`, but the marks find out themselves which of them is meant


def _cell_meant(values: Values) -> Tensor:
    is_marked = values[PICTURE] % BY_NIGHT != EMPTY
    is_left = torch.arange(CELLS, device=is_marked.device) < CELLS // 2
    is_meant = is_marked & (is_left == (values["night"] == 1)[:, None, None])
    return is_meant.flatten(1).long().argmax(1)


def _color_of_a_cell(values: Values) -> Tensor:
    colors = (values[PICTURE] % BY_NIGHT).flatten(1)
    return colors.gather(1, values["meant"][:, None])[:, 0]


TOLD = MarkTask(
    name="told",
    about="which color is the mark on the left, by night, or the one on the right, by day, if any?",
    labels=ClassNames((*COLORS, "none")),
    causal=CausalModel(
        (
            Variable("night", "a0.h2", {PICTURE: "v"}, "whether it is night", _night),
            Variable(
                "meant",
                "m0",
                {"night": "", PICTURE: ""},
                "which cell has the mark on the side that this tells",
                _cell_meant,
            ),
            Variable(
                "color",
                "a1.h0",
                {PICTURE: "v", "meant": "k"},
                "the color in that cell, if any",
                _color_of_a_cell,
            ),
        )
    ),
    draw=_draw_cued,
    cells=CUED.cells,
)

MARK_TASKS = {task.name: task for task in (COMMON, CUED, TOLD)}
