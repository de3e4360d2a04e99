"""The pictures of the terrarium that our models learn from and are tested on, split by split."""

from dataclasses import dataclass

from vitreous.data import Images, Preprocessing, Sample
from vitreous.terrarium import WORLD_KINDS, MarkTask, Task
from vitreous.training._repeats_images import ManyQuestions

# Whole turns, so that every kind is there equally often.
_TEST_SCENES = 144 * len(WORLD_KINDS)
_SPURIOUS_TEST_SCENES = 7 * 100 * 8
_REPEATS_TEST_SCENES = 5040
_MARKS = {"train": 1500 * 64, "test": 4096}
REPEATS_PREPROCESSING = Preprocessing(
    image_size=(96, 96), mean=(0.91, 0.87, 0.82), std=(0.12, 0.13, 0.14), crop_fraction=1.0
)
"""Mean and deviation of the pixels of `repeats`: what it shows all over is pale paper."""


def terrarium_images(split: str) -> Images:
    """The scenes of `kinds` that the models of the terrarium learn from or are tested on.

    Args:
        split: "train", all of it; or the first 5040 scenes of "test", "gray", "cluttered" or
            "typographic", where a misleading word is painted on every picture.
    """
    if split == "train":
        return Task("kinds").images()
    task, split = ("typographic", "test") if split == "typographic" else ("kinds", split)
    return Task(task, split).images(count=_TEST_SCENES)


def spurious_images(split: str) -> Images:
    """The scenes of `spurious`: eight kinds, and where they are at home.

    Args:
        split: "train", 95 % at home; or the first 5600 scenes of the test split: "test" with the
            same rate, "at home" and "elsewhere", the same things where all or none of them are.
    """
    if split == "train":
        return Task("spurious").images()
    rho = {"test": 0.95, "at home": 1, "elsewhere": 0}[split]
    return Task("spurious", "test", rho=rho).images(count=_SPURIOUS_TEST_SCENES)


def typographic_images(split: str) -> Images:
    """The scenes of `typographic` with words that are right, missing or wrong.

    Args:
        split: "train": scenes with the word that matches and scenes without one take turns; or
            the first 5040 scenes of the test split with a word that is "matching", "misleading"
            or "none".
    """
    if split == "train":
        parts = [Task("typographic", word=word).images() for word in ("matching", "none")]
        first = parts[0]
        return Images(InTurn(tuple(parts)), len(first), first.batch_size, first.class_names)
    return Task("typographic", "test", word=split).images(count=_TEST_SCENES)


def repeats_images(split: str) -> Images:
    """The scenes of `repeats`: a row of motifs starts again, and what comes next?

    Args:
        split: "train", with a label map of further questions (see `ManyQuestions`); or "test", the
            first 5040 scenes of that split as the task draws them.
    """
    if split == "test":
        return Task("repeats", split).images(REPEATS_PREPROCESSING, _REPEATS_TEST_SCENES)
    task = Task("repeats", split)
    read = ManyQuestions(task, REPEATS_PREPROCESSING)
    return Images(read, len(task), class_names=task.class_names)


def mark_images(task: MarkTask, split: str) -> Images:
    """Pictures of marks: 96,000 of "train", or 4096 of "test"."""
    return task.images(split, _MARKS[split])


@dataclass(frozen=True)
class InTurn:
    """Reads place i from one set after the other; unlike a closure, it goes to another process."""

    parts: tuple[Images, ...]

    def __call__(self, index: int) -> Sample:
        return self.parts[index % len(self.parts)].read(index)
