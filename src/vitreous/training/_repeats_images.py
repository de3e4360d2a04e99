"""The scenes of `repeats` with more question marks than one, each with its answer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from vitreous.data import Sample
from vitreous.terrarium import PREPROCESSING, Scene, Task, Thing, Words, render_image

CELLS, SIDE = 8, 12
"""Cells of a line, and pixels of a cell: what a patch of the model sees."""
ASKED = 0.4
AS_IT_IS = 0.25


@dataclass(frozen=True)
class ManyQuestions:
    """Reads scenes of `repeats` for training: the label, and a label map of what is asked.

    One label in a picture teaches next to nothing of a row of forty motifs. So three of four
    pictures have question marks on 40 % of the cells behind the first row of motifs, too: it has
    been seen by then, and what they hide can be known. And the label map asks in all pictures:

    - A question mark is asked for what it hides.
    - A motif is asked for the one before it. That is there to be seen, and to look there is half
      of the way to an answer.

    It is -1 where nothing is asked.
    """

    task: Task

    def __call__(self, index: int) -> Sample:
        scene = self.task.scene(index)
        hidden = list(_hidden(scene, index))
        shown = tuple(thing for thing in scene.objects if thing not in hidden)
        [question] = scene.words
        marks = [question, *(replace(question, x=thing.x, y=thing.y) for thing in hidden)]
        picture = render_image(replace(scene, objects=shown, words=tuple(marks)))
        label = int(self.task.label(scene))  # pyright: ignore[reportArgumentType]  (one label)
        before = {
            _cell(thing): self._motif(last)
            for last, thing in pairwise(scene.objects)
            if last in shown and thing in shown
        }
        behind_marks = {_cell(thing): self._motif(thing) for thing in hidden}
        asked = {**before, **behind_marks, _cell(question): label}
        return Sample(PREPROCESSING(picture)[0], label, _label_map(asked))

    def _motif(self, thing: Thing) -> int:
        return self.task.class_names.names.index(thing.kind)


def _hidden(scene: Scene, index: int) -> Iterator[Thing]:
    """The things of a scene that give way to question marks: the same at every reading."""
    chance = torch.Generator().manual_seed(index)
    as_it_is, *draws = torch.rand(1 + len(scene.objects), generator=chance).tolist()
    period = len({(thing.kind, thing.palette) for thing in scene.objects})
    if as_it_is >= AS_IT_IS:
        behind = zip(scene.objects[period:], draws[period:], strict=True)
        yield from (thing for thing, draw in behind if draw < ASKED)


def _cell(what: Thing | Words) -> tuple[int, int]:
    return what.y * CELLS // 1000, what.x * CELLS // 1000


def _label_map(asked: dict[tuple[int, int], int]) -> Int[Tensor, "rows columns"]:
    cells = torch.full((CELLS, CELLS), -1)
    for cell, motif in asked.items():
        cells[cell] = motif
    return cells.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
