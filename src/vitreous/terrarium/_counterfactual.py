"""The same picture with exactly one cause changed."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from vitreous._errors import unknown
from vitreous.terrarium._kinds import kind_named
from vitreous.terrarium._scene import Scene, Thing, Words
from vitreous.terrarium._values import instance, truth, whole

_OF_THING = tuple(field.name for field in fields(Thing))
_OF_BACKGROUND = ("setting", "texture", "seed")


def counterfactual(scene: Scene, *, object: int | None = None, **change: Any) -> Scene:
    """The scene with one cause changed, and every other choice held.

    Rendered, both are equal byte for byte outside of what the change touches before and after.

    Args:
        scene: What is.
        object: Which object a change of `kind`, `x`, `size`, ... or `remove` is about; the main
            one by default.
        change: Exactly one of: an attribute of `Thing`, such as `kind="dog"`; `remove=True`;
            `setting`, `texture` or `seed` of the background; `text` (a word, or None for no
            word); `light` (a `Light`); `gray`; `mirrored`.

    Raises:
        UnknownNameError: There is no such cause, kind, palette or setting.
        ValueError: It would change nothing, or isn't possible in this scene.
    """
    instance("scene", scene, Scene)
    if len(change) != 1:
        raise ValueError(
            f"`counterfactual` must change one cause; got {', '.join(change) or 'none'}. "
            "Call it again with its result to change another."
        )
    (cause, value), *_ = change.items()
    changed = _maker(cause, scene, object)(value)
    if _drawn(changed) == _drawn(scene):
        raise ValueError(
            f"`{cause}` must differ from what the scene has; got {value!r}. Choose another value."
        )
    return changed


def _drawn(scene: Scene) -> Scene:
    """The scene by what is drawn of it: a whole turn, and a style counted on, change nothing."""
    things = [
        replace(t, rotation=t.rotation % 3600, style=t.style % kind_named(t.kind).n_styles)
        for t in scene.objects
    ]
    return replace(scene, objects=tuple(things))


def _maker(cause: str, scene: Scene, of: int | None) -> Callable[[Any], Scene]:
    number = 0 if of is None else of
    if cause in _OF_THING or cause == "remove":
        _check_object(scene, number)
    elif of is not None:
        raise ValueError(
            f"`object` must come with a change of an object; got `{cause}`, a cause of the whole "
            "scene. Leave it out."
        )
    makers: dict[str, Callable[[Any], Scene]] = {
        "remove": lambda value: _without(scene, number) if truth("remove", value) else scene,
        "text": lambda value: _with_text(scene, value),
        "kind": lambda value: _with_kind(scene, number, value),
        **{name: _setter(scene, name) for name in ("light", "gray", "mirrored")},
        **{name: _background_setter(scene, name) for name in _OF_BACKGROUND},
    }
    for name in _OF_THING:
        makers.setdefault(name, lambda value: _with(scene, number, **{cause: value}))
    if cause not in makers:
        raise unknown("cause", cause, makers, f"There are {', '.join(makers)}.")
    return makers[cause]


def _check_object(scene: Scene, number: int) -> None:
    if whole("object", number) not in range(len(scene.objects)):
        there = ", ".join(f"{i} ({t.kind})" for i, t in enumerate(scene.objects)) or "none"
        raise ValueError(f"`object` must be one of {there}; got {number}. Choose another.")


def _with(scene: Scene, number: int, **changes: Any) -> Scene:
    things = list(scene.objects)
    things[number] = replace(things[number], **changes)
    return replace(scene, objects=tuple(things))


def _with_kind(scene: Scene, number: int, kind: str) -> Scene:
    kind_named(kind)
    return _with(scene, number, kind=kind)


def _without(scene: Scene, number: int) -> Scene:
    things = scene.objects
    return replace(scene, objects=things[:number] + things[number + 1 :])


def _with_text(scene: Scene, text: str | None) -> Scene:
    if text is None:
        return replace(scene, words=())
    if not scene.words:
        return replace(scene, words=(Words(text),))
    return replace(scene, words=(replace(scene.words[0], text=text), *scene.words[1:]))


def _setter(scene: Scene, name: str) -> Callable[[Any], Scene]:
    return lambda value: replace(scene, **{name: value})


def _background_setter(scene: Scene, name: str) -> Callable[[Any], Scene]:
    return lambda value: replace(scene, background=replace(scene.background, **{name: value}))
