"""Clean and corrupt batches that differ in one cause."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vitreous._errors import unknown
from vitreous.data import ClassNames, Preprocessing, require_letters
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._counterfactual import counterfactual
from vitreous.terrarium._dataset import PREPROCESSING, Task
from vitreous.terrarium._kinds import KINDS, SHAPES
from vitreous.terrarium._lettering import width
from vitreous.terrarium._render import SIZE, Rendering, render
from vitreous.terrarium._scene import SETTINGS, WORLD, Scene, Words
from vitreous.terrarium._tasks import WORLD_KINDS
from vitreous.terrarium._values import instance, whole

Cause = Literal["kind", "setting", "text", "places"]
_USUAL = {"kind": "kinds", "setting": "kinds", "text": "typographic", "places": "relations"}


@dataclass(frozen=True)
class ScenePairs:
    """Pictures by twos, each two the same but for what one cause touches.

    Attributes:
        clean: As a model takes them.
        corrupt: The same with the cause changed, in the same order.
        clean_labels: The task's labels.
        corrupt_labels: Its labels of the changed scenes.
        clean_masks: Who owns a pixel: an object's number, -1 the background, -3 words.
        corrupt_masks: The same of the changed scenes.
        touched: The pixels in which the two may differ; all others are equal byte for byte.
        clean_scenes: What is shown.
        corrupt_scenes: What is shown with the cause changed.
        class_names: What the labels mean.
    """

    clean: Float[Tensor, "batch channels rows columns"]
    corrupt: Float[Tensor, "batch channels rows columns"]
    clean_labels: Int[Tensor, " batch"]
    corrupt_labels: Int[Tensor, " batch"]
    clean_masks: Int[Tensor, "batch rows columns"]
    corrupt_masks: Int[Tensor, "batch rows columns"]
    touched: Bool[Tensor, "batch rows columns"]
    clean_scenes: tuple[Scene, ...]
    corrupt_scenes: tuple[Scene, ...]
    class_names: ClassNames

    def __len__(self) -> int:
        return len(self.clean)


def counterfactual_pairs(
    n: int,
    seed: int = 0,
    *,
    cause: Cause = "kind",
    kind: str | None = None,
    to: str | None = None,
    task: str | None = None,
    split: str = "test",
    size: int = SIZE,
    preprocessing: Preprocessing = PREPROCESSING,
    **options: Any,
) -> ScenePairs:
    """The same pictures, but the cat is a dog: pairs for patching, in one call.

    They are the first scenes of a split in which the cause can be changed so; the same arguments
    give the same pairs, and a larger `n` begins with them.

    Args:
        n: How many pairs.
        seed: Of the task: another seed, other scenes. Shipped models learned from seed 0 of the
            split `train`.
        cause: What is changed: `"kind"` of the main object, `"setting"` behind everything,
            `"text"` that is painted, or `"places"`, which the first two objects exchange.
        kind: Only scenes whose main object is one; None means any.
        to: The kind, setting or word of the corrupt scene (`""` is no word); None draws one for
            each pair. Scenes that have it already are passed over.
        task: Name of a task with one label per picture; None means `kinds`, for words
            `typographic`, and for places `relations`.
        split: Name of one of its splits.
        size: Pixels of a side of the pictures.
        preprocessing: The model's. Where it scales pictures, pixels near `touched` differ too.
        options: Options of the task, such as `about` of `relations`.

    Raises:
        UnknownNameError: No task, split, option, kind or setting has that name.
        ValueError: The split has too few such scenes, or a combination that can't be.
    """
    whole("n", n, 1, hint="Try 16.")
    instance("preprocessing", preprocessing, Preprocessing)
    of = Task(task or _USUAL.get(cause, "kinds"), split, seed=seed, size=size, **options)
    _require_single_labels(of)
    _check_values(of, cause, kind, to)
    chosen = list(islice(_scenes(of, cause, kind, to), n))
    if len(chosen) < n:
        raise ValueError(
            f"`n` must not exceed the {len(chosen)} such pairs of split '{split}' of "
            f"`{of.name}`; got {n}. Choose the split 'train', or another seed for more."
        )
    clean, corrupt = zip(*chosen, strict=True)
    return _rendered(of, cause, preprocessing, clean, corrupt)


def _scenes(
    of: Task, cause: Cause, kind: str | None, to: str | None
) -> Iterator[tuple[Scene, Scene]]:
    for index in range(len(of)):
        scene = of.scene(index)
        if not scene.objects or kind not in (None, scene.objects[0].kind):
            continue
        chance = Chance(WORLD, of.seed, of.name, of.split, "pair", index)
        corrupt = _changed(of, scene, cause, to, chance)
        if corrupt is not None:
            yield scene, corrupt


def _changed(of: Task, scene: Scene, cause: Cause, to: str | None, chance: Chance) -> Scene | None:
    """The scene with the cause changed; None where it has that value already, or can't have it."""
    if cause == "places":
        return _exchanged(scene)
    has = {
        "kind": scene.objects[0].kind,
        "setting": scene.background.setting,
        "text": scene.words[0].text if scene.words else "",
    }[cause]
    options = _options(of, cause) if to is None else (to,)
    options = [each for each in options if each.upper() != has.upper()]
    if cause == "text":
        options = [each for each in options if _fits(scene, each)]
    if not options:
        return None
    chosen = chance.choice("to", options)
    change: dict[str, Any] = {cause: chosen or None}
    return counterfactual(scene, **change)


def _fits(scene: Scene, text: str) -> bool:
    """Whether a word in the place of the first one, with its label, is wholly in the picture."""
    if not text:
        return True
    words = replace(scene.words[0], text=text) if scene.words else Words(text)
    half = (width(text) + 1) * words.height / 2
    return half <= words.x <= 1000 - half


def _exchanged(scene: Scene) -> Scene | None:
    """With the first two objects at each other's place; None where there are no two places."""
    if len(scene.objects) < 2:
        return None
    first, second, *rest = scene.objects
    if (first.x, first.y) == (second.x, second.y):
        return None
    moved = (replace(first, x=second.x, y=second.y), replace(second, x=first.x, y=first.y))
    return replace(scene, objects=(*moved, *rest))


def _options(of: Task, cause: Cause) -> tuple[str, ...]:
    """What a cause can be changed to."""
    if cause == "setting":
        return tuple(SETTINGS)
    return _kinds_of(of) if cause == "kind" else WORLD_KINDS


def _kinds_of(of: Task) -> tuple[str, ...]:
    """The kinds that the task's classes are, or where they are none, those of the world."""
    names = of.class_names.names
    return names if all(name in KINDS or name in SHAPES for name in names) else WORLD_KINDS


def _rendered(
    of: Task,
    cause: Cause,
    preprocessing: Preprocessing,
    clean: tuple[Scene, ...],
    corrupt: tuple[Scene, ...],
) -> ScenePairs:
    made = [[render(scene, of.size) for scene in scenes] for scenes in (clean, corrupt)]
    first, second = (preprocessing([each.image for each in side]) for side in made)
    labels = [torch.tensor([of.label(scene) for scene in scenes]) for scenes in (clean, corrupt)]
    masks = [torch.from_numpy(np.stack([each.label_map for each in side])) for side in made]
    may_touch = _TOUCHES[cause]
    touched = [may_touch(before) | may_touch(after) for before, after in zip(*made, strict=True)]
    return ScenePairs(
        clean=first,
        corrupt=second,
        clean_labels=labels[0],
        corrupt_labels=labels[1],
        clean_masks=masks[0],
        corrupt_masks=masks[1],
        touched=torch.from_numpy(np.stack(touched)),
        clean_scenes=clean,
        corrupt_scenes=corrupt,
        class_names=of.class_names,
    )


def _objects(count: int, made: Rendering) -> Bool[np.ndarray, "rows columns"]:
    return np.any(made.object_shares[:count] > 0, axis=0)


def _places(made: Rendering) -> Bool[np.ndarray, "rows columns"]:
    """Shadows move with the objects."""
    return _objects(2, made) | (made.shadow_share > 0)


def _words(made: Rendering) -> Bool[np.ndarray, "rows columns"]:
    return made.words_share > 0


def _background(made: Rendering) -> Bool[np.ndarray, "rows columns"]:
    """Where not all of a pixel is an object's or a word's: both are opaque, shadows are not."""
    return made.object_shares.sum(0) + made.words_share < 1


_TOUCHES: dict[str, Callable[[Rendering], Bool[np.ndarray, "rows columns"]]] = {
    "kind": partial(_objects, 1),
    "setting": _background,
    "text": _words,
    "places": _places,
}


def _require_single_labels(of: Task) -> None:
    if of.name in ("motion", "scenes"):
        raise ValueError(
            f"`task` must have single pictures with one label; got '{of.name}'. "
            "Make its pairs with `counterfactual`."
        )


def _check_values(of: Task, cause: Cause, kind: str | None, to: str | None) -> None:
    """Raises for what no scene of the task can have, before all of them are looked through."""
    if cause not in get_args(Cause):
        causes = get_args(Cause)
        raise unknown("cause", cause, causes, f"There are {', '.join(causes)}.")
    if cause == "places" and to is not None:
        raise ValueError(
            f"`to` must be None where objects exchange places; got {to!r}. Leave it out."
        )
    if kind is not None and kind not in _kinds_of(of):
        raise unknown(f"kind of `{of.name}`", kind, _kinds_of(of))
    if to is None or (cause == "text" and to == ""):
        return
    if cause == "text":
        require_letters(to)
    elif to not in _options(of, cause):
        raise unknown(f"{cause} of `{of.name}`", to, _options(of, cause))
