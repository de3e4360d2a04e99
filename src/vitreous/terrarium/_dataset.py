"""A task as a data set."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch.utils.data import Dataset

from vitreous.data import ClassNames, Images, Preprocessing, Sample
from vitreous.terrarium._kinds import KINDS, SHAPES
from vitreous.terrarium._painting import WORDS
from vitreous.terrarium._render import (
    SIZE,
    Rendering,
    render,
    render_clip,
    render_image,
    whole_size,
)
from vitreous.terrarium._scene import Scene
from vitreous.terrarium._tasks import (
    TaskKind,
    checked_options,
    make_scene,
    split_size,
    task_named,
)
from vitreous.terrarium._values import instance, whole

PREPROCESSING = Preprocessing(
    image_size=(SIZE, SIZE), mean=(0.62, 0.63, 0.62), std=(0.25, 0.24, 0.26), crop_fraction=1.0
)
"""How the models of the terrarium see it: mean and deviation of the pixels of `kinds`."""

MasksOf = Literal["objects", "labels"]
_NO_CLASS = -2


class Task(Dataset[tuple[np.ndarray, Any]]):
    """One split of a task, made when it is asked for: nothing is on disk.

    Item i is a function of the world's version, the seed, the split and i alone, whatever the
    order, the worker or the process.

    Args:
        name: Name of a task.
        split: Name of one of its splits.
        seed: Another seed, other scenes.
        size: Pixels of a side.
        options: Options of the task, such as `rho` of `spurious`.

    Raises:
        UnknownNameError: No task, split or option has that name.
        ValueError: A seed or size that can't be.
    """

    def __init__(
        self, name: str, split: str = "train", *, seed: int = 0, size: int = SIZE, **options: Any
    ) -> None:
        of = task_named(name)
        self.name, self.split = name, split
        self.seed, self.size = whole("seed", seed), whole_size(size)
        self.options = checked_options(of, options)
        self._count = split_size(of, split)

    @property
    def _of(self) -> TaskKind:
        return task_named(self.name)  # not kept: workers get a task by its name

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        """Picture, uint8 [rows, columns, 3] or of a clip [frames, ...], and label."""
        scene = self.scene(index)
        return self._picture(scene), self.label(scene)

    @cached_property
    def class_names(self) -> ClassNames:
        """What the labels mean."""
        names = self._of.classes(**self.options)
        kinds = {**KINDS, **SHAPES}
        emoji = tuple(kinds[name].emoji for name in names if name in kinds)
        return ClassNames(names, emoji if len(emoji) == len(names) else None)

    def scene(self, index: int) -> Scene:
        """The scene of an item; negative places count from the end."""
        place = whole("index", index, hint="`batch(start, stop)` makes several.")
        place += self._count if -self._count <= place < 0 else 0
        return make_scene(self._of, self.split, place, self.seed, self.options)

    def rendering(self, index: int) -> Rendering:
        """The picture of an item with its masks, factors and caption."""
        return render(self.scene(index), self.size)

    def label(self, scene: Scene) -> int | tuple[int, ...]:
        """The label of a scene: a class, or one truth value per class.

        Raises:
            ValueError: A scene that this task has no label for.
        """
        instance("scene", scene, Scene)
        try:
            label = self._of.label(scene, **self.options)
            if isinstance(label, tuple) or 0 <= label < len(self.class_names):
                return label
        except (ValueError, IndexError, StopIteration):
            pass  # what makes the label didn't find what it looks for
        kinds = ", ".join(thing.kind for thing in scene) or "nothing"
        raise ValueError(
            f"`scene` must be one that task '{self.name}' has a label for; got one of {kinds}. "
            "Label it with the task that it was made for."
        )

    def batch(
        self, start: int, stop: int
    ) -> tuple[UInt8[np.ndarray, "batch rows columns 3"], Int[np.ndarray, "batch *labels"]]:
        """The pictures and labels of items `start` .. `stop` - 1, without masks: the fast way.

        Raises:
            ValueError: There are no such items.
        """
        start = whole("start", start, 0, self._count - 1)
        stop = whole("stop", stop, start + 1, self._count)
        scenes = [self.scene(index) for index in range(start, stop)]
        pictures = np.stack([self._picture(scene) for scene in scenes])
        return pictures, np.array([self.label(scene) for scene in scenes])

    def batches(
        self, batch_size: int = 64, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches in order, from item `start` on.

        Raises:
            ValueError: There are no such items, or no such batches.
        """
        step = whole("batch_size", batch_size, 1, hint="Try 64.")
        start = whole("start", start, 0, self._count)
        end = self._count if stop is None else whole("stop", stop, start, self._count)
        firsts = range(start, end, step)
        return (self.batch(first, min(first + step, end)) for first in firsts)

    def images(
        self,
        preprocessing: Preprocessing = PREPROCESSING,
        count: int | None = None,
        *,
        masks: MasksOf | None = None,
        batch_size: int = 32,
    ) -> Images:
        """The first `count` items, prepared for a model, with a label map each where asked for.

        Args:
            preprocessing: The model's.
            count: How many; None means all.
            masks: `"objects"` names the object that owns a pixel, as `Rendering.label_map` does;
                `"labels"` the class of that object, -2 for objects that are no class of the task.
                In both, -1 is the background and -3 painted words.
            batch_size: Pictures of a batch.

        Raises:
            ValueError: The task's items are clips or have several labels, or aren't so many.
        """
        instance("preprocessing", preprocessing, Preprocessing)
        if masks not in (None, "objects", "labels"):
            raise ValueError(
                f"`masks` must be 'objects', 'labels' or None; got {masks!r}. Pass one of them."
            )
        if self.name in ("motion", "scenes"):
            raise ValueError(
                f"`images` must be of single pictures with one label; got task '{self.name}'. "
                "Use `batches`."
            )

        count = self._count if count is None else whole("count", count, 1, self._count)
        return Images(_Reader(self, preprocessing, masks), count, batch_size, self.class_names)

    def _picture(self, scene: Scene) -> np.ndarray:
        if scene.frames > 1:
            return render_clip(scene, self.size)
        return render_image(scene, self.size)


@dataclass(frozen=True)
class _Reader:
    """Reads an item for a model; unlike a closure, it goes to another process by pickling."""

    task: Task
    preprocessing: Preprocessing
    masks: MasksOf | None

    def __call__(self, index: int) -> Sample:
        scene = self.task.scene(index)
        label = int(self.task.label(scene))  # pyright: ignore[reportArgumentType]  (one label)
        if self.masks is None:
            return Sample(self.preprocessing(render_image(scene, self.task.size))[0], label)
        made = render(scene, self.task.size)
        owners = made.label_map if self.masks == "objects" else self._classes(made)
        return Sample(self.preprocessing(made.image)[0], label, torch.from_numpy(owners.copy()))

    def _classes(self, made: Rendering) -> Int[np.ndarray, "rows columns"]:
        """The label map with each object's class in the place of its number."""
        names = self.task.class_names.names
        kinds = [thing.kind for thing in made.scene.objects]
        classes = [names.index(kind) if kind in names else _NO_CLASS for kind in kinds]
        # Owners that are no objects have negative numbers, which count from the end of the table.
        table = np.array([*classes, WORDS, _NO_CLASS, -1])
        return table[made.label_map]
