"""A set of prepared pictures, read when they are asked for, batch by batch."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vitreous._errors import ImageError
from vitreous.data._class_names import ClassNames
from vitreous.data._preprocessing import Picture, Preprocessing


@dataclass(frozen=True)
class Batch:
    """Some pictures, ready for a model.

    Attributes:
        index: Place of each picture in the `Images` that it came from.
        pixels: What the model takes: images, or clips.
        labels: Class of each picture, or None where nobody knows.
        masks: Label map per picture (which object owns a pixel), or None.
    """

    index: Int[Tensor, " batch"]
    pixels: Float[Tensor, "batch *frames channels rows columns"]
    labels: Int[Tensor, " batch"] | None = None
    masks: Int[Tensor, "batch *frames rows columns"] | None = None

    def __len__(self) -> int:
        return len(self.index)


class Sample(NamedTuple):
    """One picture of a set, before batching."""

    pixels: Float[Tensor, "*frames channels rows columns"]
    label: int | None = None
    mask: Int[Tensor, "*frames rows columns"] | None = None


@dataclass(frozen=True)
class Images:
    """Pictures with random access that iterate in batches.

    `len(images)` counts pictures; `images[3]`, `images[3:7]` and `images[[5, 2]]` are batches
    that are read on the spot; `for batch in images` goes through all of them in order and holds
    one batch at a time.

    Attributes:
        read: Reads the picture at a place; called with 0 .. `count` - 1 only.
        count: How many pictures there are.
        batch_size: Pictures per batch of an iteration.
        class_names: What the labels mean, where that is known.
    """

    read: Callable[[int], Sample]
    count: int
    batch_size: int = 32
    class_names: ClassNames | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; got {self.batch_size}. Try 32.")

    @classmethod
    def from_tensor(
        cls,
        pixels: Float[Tensor, "batch *frames channels rows columns"],
        labels: Int[Tensor, " batch"] | None = None,
        masks: Int[Tensor, "batch *frames rows columns"] | None = None,
        *,
        batch_size: int = 32,
        class_names: ClassNames | None = None,
    ) -> "Images":
        """A set of pictures that are prepared already."""
        for name, values in (("labels", labels), ("masks", masks)):
            _must_match(name, values, len(pixels))

        def read(index: int) -> Sample:
            label = None if labels is None else int(labels[index])
            return Sample(pixels[index], label, None if masks is None else masks[index])

        return cls(read, len(pixels), batch_size, class_names)

    @classmethod
    def from_pictures(
        cls,
        pictures: Sequence[Picture] | np.ndarray,
        preprocessing: Preprocessing,
        labels: Sequence[int] | None = None,
        *,
        batch_size: int = 32,
        class_names: ClassNames | None = None,
    ) -> "Images":
        """Paths, Pillow images or uint8 arrays, each prepared when it is read."""
        _must_match("labels", labels, len(pictures))

        def read(index: int) -> Sample:
            label = None if labels is None else int(labels[index])
            return Sample(preprocessing(pictures[index])[0], label)

        return cls(read, len(pictures), batch_size, class_names)

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        preprocessing: Preprocessing,
        *,
        classes: ClassNames | None = None,
        batch_size: int = 32,
    ) -> "Images":
        """The image files of a folder, in order of their names.

        Where the folder holds subfolders with images, a picture's label is its subfolder's: the
        place in the alphabet, or with `classes` the class of that name. Otherwise there are none.

        Raises:
            ImageError: The folder is missing or holds no image.
            UnknownNameError: A subfolder is no class of `classes`.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ImageError(f"`{root}` must be a folder of images; got none. Check the path.")
        groups = {sub.name: _image_files(sub) for sub in sorted(root.iterdir()) if sub.is_dir()}
        groups = {name: files for name, files in groups.items() if files}
        if not groups:
            return cls.from_pictures(
                _some(_image_files(root), root), preprocessing, batch_size=batch_size
            )
        names = classes or ClassNames(tuple(groups))
        labels = [names.find(name) for name, files in groups.items() for _ in files]
        files = [file for files in groups.values() for file in files]
        return cls.from_pictures(
            files, preprocessing, labels, batch_size=batch_size, class_names=names
        )

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        preprocessing: Preprocessing | None = None,
        *,
        batch_size: int = 32,
        class_names: ClassNames | None = None,
    ) -> "Images":
        """A map-style torch dataset whose items are a picture or (picture, label[, mask]).

        Args:
            dataset: Anything with `len` and integer indexing.
            preprocessing: For datasets of pictures. None says that items are prepared tensors.
        """
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                f"`dataset` must have a length and an index; got {type(dataset).__name__}. "
                "Collect an iterable dataset into a list first."
            )

        def read(index: int) -> Sample:
            item = dataset[index]
            picture, *rest = item if isinstance(item, tuple | list) else (item,)
            pixels = picture if preprocessing is None else preprocessing(picture)[0]
            label = None if not rest or rest[0] is None else int(rest[0])
            return Sample(pixels, label, *rest[1:2])

        return cls(read, len(dataset), batch_size, class_names)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int | slice | Sequence[int] | Int[Tensor, " batch"]) -> Batch:
        places = self._places(index)
        samples = [self.read(place) for place in places]
        return Batch(
            torch.tensor(places),
            torch.stack([sample.pixels for sample in samples]),
            _stacked([sample.label for sample in samples]),
            _stacked([sample.mask for sample in samples]),
        )

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, self.count, self.batch_size):
            yield self[start : start + self.batch_size]

    def batched(self, batch_size: int) -> "Images":
        """The same pictures in batches of another size."""
        return replace(self, batch_size=batch_size)

    def subset(self, index: slice | Sequence[int] | Int[Tensor, " batch"]) -> "Images":
        """The pictures at some places as a set of their own, numbered anew."""
        places, read = self._places(index), self.read
        return replace(self, read=lambda i: read(places[i]), count=len(places))

    def _places(self, index: int | slice | Sequence[int] | Int[Tensor, " batch"]) -> list[int]:
        if isinstance(index, slice):
            return list(range(self.count)[index])
        if isinstance(index, Tensor):
            index = index.tolist()
        wanted = [index] if isinstance(index, int) else list(index)
        try:
            return [range(self.count)[place] for place in wanted]
        except IndexError:
            beyond = [i for i in wanted if not -self.count <= i < self.count]
            raise IndexError(
                f"`index` must lie in 0..{self.count - 1}; got {beyond[:5]}. "
                "`len(images)` counts the pictures."
            ) from None


def _stacked(values: Sequence[Any]) -> Tensor | None:
    if any(value is None for value in values):
        return None
    return torch.stack([torch.as_tensor(value) for value in values])


def _must_match(name: str, values: Any, count: int) -> None:
    if values is not None and len(values) != count:
        raise ValueError(
            f"`{name}` must have one entry per picture, {count}; got {len(values)}. "
            "Check that both come from the same set."
        )


def _image_files(folder: Path) -> list[Path]:
    known = Image.registered_extensions()
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in known and not file.name.startswith(".") and file.is_file()
    )


def _some(files: list[Path], root: Path) -> list[Path]:
    if not files:
        raise ImageError(f"`{root}` must hold image files; got none. Name another folder.")
    return files
