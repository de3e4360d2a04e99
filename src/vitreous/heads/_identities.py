"""What each patch of a scene shows, for scores that ask for copies."""

import torch
from jaxtyping import Int
from torch import Tensor

from vitreous.models import TokenLayout
from vitreous.terrarium import Task

_WHOLE = 1000  # of the coordinates of scenes


def motif_identities(task: Task, count: int, layout: TokenLayout) -> Int[Tensor, "images patches"]:
    """What the patches of the first scenes of a task show: the thing whose center is in each.

    For `score_heads` on the task `repeats`, whose cells are the patches of an 8 x 8 grid: grain of
    the paper makes pixels of copies differ.

    Args:
        task: A task of still pictures.
        count: Scenes.
        layout: Of the model.

    Returns:
        A number for each kind and color that occurs, -1 where no thing has its center. Words have
        none.
    """
    _, rows, columns = layout.grid
    seen: dict[tuple[str, str], int] = {}
    shown = torch.full((count, layout.n_patches), -1)
    for index in range(count):
        for thing in task.scene(index).objects:
            row, column = thing.y * rows // _WHOLE, thing.x * columns // _WHOLE
            if 0 <= row < rows and 0 <= column < columns:
                number = seen.setdefault((thing.kind, thing.palette), len(seen))
                shown[index, row * columns + column] = number
    return shown
