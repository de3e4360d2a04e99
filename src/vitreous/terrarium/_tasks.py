"""What a task is, and the register of all tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from vitreous._errors import unknown
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._scene import WORLD, Scene
from vitreous.terrarium._values import whole

SPLITS: dict[str, int] = {"train": 1_000_000, "validation": 10_000, "test": 10_000}
"""Items of the usual splits."""

# Those of world 1, in the order of the labels: a kind that is added later changes no item.
WORLD_KINDS: tuple[str, ...] = (
    "cat", "dog", "rabbit", "lion", "bear", "elephant", "pig", "bird", "chicken", "owl",
    "penguin", "fish", "frog", "turtle", "snail", "snake", "bee", "butterfly", "apple", "banana",
    "orange", "pear", "strawberry", "mushroom", "tree", "flower", "house", "car", "bicycle",
    "boat", "toilet", "cup", "key", "umbrella", "clock",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """What the makers of scenes get to know.

    Attributes:
        chance: The item's own source.
        split: Name of the split.
        index: Place in the split.
        order: The same for all items of the split: what is balanced over items is drawn here.
    """

    chance: Chance
    split: str
    index: int
    order: tuple[str | int, ...]

    def turn(self, what: str, n_options: int) -> int:
        """One of 0 .. `n_options` - 1; of every `n_options` items in a row, each has another."""
        block, place = divmod(self.index, n_options)
        return _block(self.order, what, block, n_options)[place]

    def share(self, what: str, of: int, percent: int) -> bool:
        """True for exactly `percent` of every 100 items that have the option `of` in a turn.

        Args:
            what: Name of the draw.
            of: Counts those items: the block that this item's turn is in.
            percent: How many of 100 in a row are true.
        """
        block, place = divmod(of, 100)
        return _block(self.order, what, block, 100)[place] < percent


@lru_cache(maxsize=256)
def _block(order: tuple[str | int, ...], what: str, block: int, count: int) -> tuple[int, ...]:
    return tuple(Chance(*order, what, block).shuffled("order", range(count)))


@dataclass(frozen=True)
class TaskKind:
    """A task: how its scenes are made, and what their labels are.

    Attributes:
        name: What it is called.
        make: Makes the scene of an item; options are keywords.
        label: The label of a scene: a class, or one truth value per class.
        classes: Names of the classes, given the options.
        splits: Number of items of each split.
        options: Options with their defaults.
        check: Raises for options that can't be.
    """

    name: str
    make: Callable[..., Scene]
    label: Callable[..., int | tuple[int, ...]]
    classes: Callable[..., tuple[str, ...]]
    splits: Mapping[str, int]
    options: Mapping[str, Any]
    check: Callable[..., None]


_REGISTER: dict[str, TaskKind] = {}
TASKS: Mapping[str, TaskKind] = MappingProxyType(_REGISTER)
"""All tasks by name."""


def task(
    name: str,
    *,
    classes: Callable[..., tuple[str, ...]],
    label: Callable[..., int | tuple[int, ...]],
    splits: Mapping[str, int] = SPLITS,
    options: Mapping[str, Any] | None = None,
    check: Callable[..., None] = lambda **_: None,
) -> Callable[[Callable[..., Scene]], Callable[..., Scene]]:
    """Makes a task of a function that makes the scene of an `Item`."""

    def made(make: Callable[..., Scene]) -> Callable[..., Scene]:
        _REGISTER[name] = TaskKind(name, make, label, classes, splits, options or {}, check)
        return make

    return made


def task_named(name: str) -> TaskKind:
    """The task of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise unknown("task", name, TASKS, f"There are {', '.join(TASKS)}.")
    return TASKS[name]


def checked_options(of: TaskKind, options: dict[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in.

    Raises:
        UnknownNameError: The task has no such option.
        ValueError: An option has a value that can't be.
    """
    for option in options:
        if option not in of.options:
            has = ", ".join(of.options) or "none"
            raise unknown(f"option of `{of.name}`", option, of.options, f"It has {has}.")
    filled = {**of.options, **options}
    of.check(**filled)
    return filled


def sample(task: str, split: str, index: int, seed: int = 0, **options: Any) -> Scene:
    """The scene of an item: a function of these arguments and the world's version alone.

    Args:
        task: Name of a task.
        split: Name of one of its splits.
        index: Place in the split.
        seed: Another seed, other scenes.
        options: Options of the task, such as `rho` of `spurious`.

    Raises:
        UnknownNameError: No task, split or option has that name.
        IndexError: The split has no such item.
        ValueError: The index or the seed is no whole number.
    """
    of = task_named(task)
    return make_scene(of, split, index, seed, checked_options(of, options))


def make_scene(of: TaskKind, split: str, index: int, seed: int, options: dict[str, Any]) -> Scene:
    """`sample` with checked options."""
    place = place_in(of, split, index)
    order = (WORLD, whole("seed", seed), of.name, split)
    return of.make(Item(Chance(*order, "item", place), split, place, order), **options)


def place_in(of: TaskKind, split: str, index: Any) -> int:
    """The place of an item in a split.

    Raises:
        IndexError: The split has no such item.
        ValueError: It is no whole number.
    """
    size, place = split_size(of, split), whole("index", index)
    if not 0 <= place < size:
        raise IndexError(
            f"`index` must lie in 0..{size - 1} for split '{split}' of `{of.name}`; "
            f"got {place}. Choose another index or split."
        )
    return place


def split_size(of: TaskKind, split: str) -> int:
    """Number of items.

    Raises:
        UnknownNameError: The task has no such split.
    """
    if not isinstance(split, str) or split not in of.splits:
        splits = ", ".join(of.splits)
        raise unknown(f"split of `{of.name}`", split, of.splits, f"It has {splits}.")
    return of.splits[split]
