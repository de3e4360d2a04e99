"""The rows of `repeats`, longer and with more question marks than one, each with its answer."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from vitreous.data import Preprocessing, Sample
from vitreous.terrarium import Scene, Task, render_image

CELLS, SIDE = 8, 12
"""Cells of a line, and pixels of a cell: what a patch of the model sees."""
_STEP = 1000 // CELLS
HIDDEN, AS_IT_IS = 0.5, 0.2
SHORT, N_SHORT, N_MANY = 8, 48_000, 128_000


@dataclass(frozen=True)
class ManyQuestions:
    """Reads scenes of `repeats` for training: the label, and a label map of what is asked.

    One label in a picture teaches next to nothing of a row of forty motifs. So of the first
    128,000 pictures, four of five show longer rows, of 24 to 47 motifs (at first those that start
    again after eight, at the latest), with question marks on half of the cells behind the first
    turn: it has been seen by then, and what they hide can be known. The others, and all that come
    later, are as the task draws them: once patches know the answer, the class token can learn
    where to hear it. And in all pictures the label map asks each patch:

    - A question mark is asked for what it hides.
    - A motif before a question mark is asked for what that hides: what comes next?
    - Any other motif is asked for the one before it, if that is to be seen. Who knows what stood
      before every motif finds the one that comes next.

    It is -1 where nothing is asked.

    Attributes:
        task: Whose scenes.
        preprocessing: How pictures are prepared.
    """

    task: Task
    preprocessing: Preprocessing

    def __call__(self, index: int) -> Sample:
        scene = self.task.scene(index)
        chance = torch.Generator().manual_seed(index)
        as_it_is, length, *draws = torch.rand(2 + CELLS**2, generator=chance).tolist()
        row = list(dict.fromkeys((thing.kind, thing.palette) for thing in scene.objects))
        if as_it_is < AS_IT_IS or index >= N_MANY:
            n_cells, marked = len(scene.objects), set[int]()
        else:
            row = row[:SHORT] if index < N_SHORT else row
            n_cells = 24 + int(24 * length)
            marked = {cell for cell in range(len(row), n_cells) if draws[cell] < HIDDEN}
        motifs = [row[cell % len(row)] for cell in range(n_cells + 1)]
        picture = render_image(_with_row(scene, motifs, {*marked, n_cells}))
        kinds = [self.task.class_names.names.index(kind) for kind, _ in motifs]
        asked = _asked(kinds, {*marked, n_cells})
        return Sample(self.preprocessing(picture)[0], kinds[-1], _label_map(asked))


def _with_row(scene: Scene, motifs: list[tuple[str, str]], marked: set[int]) -> Scene:
    """The scene with other motifs, and with question marks in place of some."""
    [question], first = scene.words, scene.objects[0]
    things, marks = [], []
    for cell, (kind, palette) in enumerate(motifs):
        x, y = first.x + cell % CELLS * _STEP, first.y + cell // CELLS * _STEP
        if cell in marked:
            marks.append(replace(question, x=x, y=y))
        else:
            things.append(replace(first, kind=kind, palette=palette, x=x, y=y))
    return replace(scene, objects=tuple(things), words=tuple(marks))


def _asked(kinds: list[int], marked: set[int]) -> list[int]:
    """What each cell is asked for, or -1."""
    asked = []
    for cell, kind in enumerate(kinds):
        if cell in marked:
            asked.append(kind)
        elif cell + 1 in marked:
            asked.append(kinds[cell + 1])
        else:
            asked.append(kinds[cell - 1] if cell and cell - 1 not in marked else -1)
    return asked


def _label_map(asked: list[int]) -> Int[Tensor, "rows columns"]:
    cells = torch.tensor([*asked, *[-1] * (CELLS**2 - len(asked))]).view(CELLS, CELLS)
    return cells.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
