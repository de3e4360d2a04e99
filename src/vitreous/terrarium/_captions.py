"""A scene in words."""

from vitreous.terrarium._scene import SETTINGS, Scene, Thing

COLORS = {"ginger": "orange"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_AN = tuple("aeiou")


def caption(scene: Scene) -> str:
    """What a person would say: "a small red cat left of a banana on grass"."""
    if not scene.objects:
        return f"nothing {SETTINGS[scene.background.setting]}"
    things = scene.objects
    if len({thing.kind for thing in things}) == 1 < len(things):
        text = f"{_number(len(things))} {plural(things[0].kind)}"
    else:
        text = _described(things[0])
        if len(things) > 1:
            text += f" {position(things[0], things[1], scene.mirrored)} {_named(things[1])}"
        if len(things) > 2:
            text += ", with " + " and ".join(_named(thing) for thing in things[2:])
    written = "".join(f' with the word "{words.text}"' for words in scene.words)
    return f"{text} {SETTINGS[scene.background.setting]}{written}"


def position(first: Thing, second: Thing, mirrored: bool = False) -> str:
    """Where the first is, seen from the second."""
    across, down = first.x - second.x, first.y - second.y
    if abs(across) >= abs(down):
        return "left of" if (across < 0) != mirrored else "right of"
    return "above" if down < 0 else "below"


def plural(kind: str) -> str:
    """More than one of a kind."""
    if kind in ("fish",):
        return kind
    if kind.endswith("y") and kind[-2] not in _AN:
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "x", "ch", "sh")) else f"{kind}s"


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _described(thing: Thing) -> str:
    size = "small " if thing.size < 400 else "large " if thing.size >= 760 else ""
    return _with_article(f"{size}{COLORS.get(thing.palette, thing.palette)} {thing.kind}")


def _named(thing: Thing) -> str:
    return _with_article(thing.kind)


def _with_article(text: str) -> str:
    return f"{'an' if text.startswith(_AN) else 'a'} {text}"
