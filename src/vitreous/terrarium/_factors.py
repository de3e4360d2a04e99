"""The causes of a picture in one flat row."""

from typing import Any

from vitreous.terrarium._captions import position
from vitreous.terrarium._kinds import KINDS, SHAPES
from vitreous.terrarium._scene import Scene, Thing


def factors(scene: Scene) -> dict[str, Any]:
    """Name -> number, text or truth value; the plain names are the main object's."""
    row: dict[str, Any] = {"task": scene.task}
    if scene.objects:
        row |= _of_thing(scene.objects[0])
    if len(scene.objects) > 1:
        row |= _of_pair(scene)
    return row | {
        "count": sum(thing.kind == row.get("kind") for thing in scene.objects),
        "kinds": " ".join(sorted({thing.kind for thing in scene.objects})),
        "n_objects": len(scene.objects),
        "setting": scene.background.setting,
        "texture": scene.background.texture,
        "text": " ".join(words.text for words in scene.words),
        "light": scene.light.direction,
        "light_strength": scene.light.strength,
        "gray": scene.gray,
        "mirrored": scene.mirrored,
        "frames": scene.frames,
        **_of_motion(scene),
    }


def direction(motion: tuple[int, int], mirrored: bool = False) -> str:
    """Which way something moves."""
    across, down = motion
    if across:
        return "right" if (across > 0) != mirrored else "left"
    return "down" if down > 0 else "up"


def _of_thing(thing: Thing) -> dict[str, Any]:
    kind = KINDS.get(thing.kind) or SHAPES[thing.kind]
    return {
        "kind": thing.kind,
        "group": kind.group,
        "x": thing.x,
        "y": thing.y,
        "size": thing.size,
        "rotation": thing.rotation,
        "flip": thing.flip,
        "squeeze": thing.squeeze,
        "stroke": thing.stroke,
        "palette": thing.palette,
        "red_shift": thing.shift[0],
        "green_shift": thing.shift[1],
        "blue_shift": thing.shift[2],
    } | {f"style_{what}": chosen for what, chosen in kind.drawing(thing.style).style.items()}


def _of_pair(scene: Scene) -> dict[str, Any]:
    first, second = scene.objects[:2]
    return {
        "other_kind": second.kind,
        "position": position(first, second, scene.mirrored),
        "larger": first.size > second.size,
        "same": first.kind == second.kind,
    }


def _of_motion(scene: Scene) -> dict[str, Any]:
    moving = [(i, t) for i, t in enumerate(scene.objects) if t.motion != (0, 0)]
    if not moving:
        return {}
    number, thing = moving[0]
    return {
        "moving": number,
        "moving_kind": thing.kind,
        "direction": direction(thing.motion, scene.mirrored),
    }
