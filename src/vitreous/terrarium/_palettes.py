"""Colors: ten palettes that several kinds share, and tones that are always the same."""

Color = tuple[int, int, int]

# main, accent
PALETTES: dict[str, tuple[Color, Color]] = {
    "ginger": ((242, 146, 54), (176, 84, 28)),
    "brown": ((162, 108, 70), (104, 62, 40)),
    "gray": ((150, 156, 170), (92, 98, 116)),
    "white": ((245, 240, 230), (198, 184, 172)),
    "yellow": ((252, 210, 66), (224, 146, 36)),
    "red": ((226, 62, 58), (152, 30, 46)),
    "green": ((112, 186, 78), (52, 128, 62)),
    "blue": ((82, 152, 226), (42, 92, 172)),
    "pink": ((246, 158, 182), (214, 92, 134)),
    "purple": ((160, 112, 206), (104, 66, 156)),
}

TONES: dict[str, Color] = {
    "ink": (44, 34, 52),
    "white": (255, 253, 248),
    "cream": (255, 240, 210),
    "pink": (248, 150, 164),
    "red": (222, 56, 56),
    "orange": (250, 156, 42),
    "yellow": (255, 216, 74),
    "leaf": (96, 176, 72),
    "wood": (150, 98, 60),
    "steel": (176, 184, 196),
    "tire": (62, 58, 72),
    "glass": (176, 224, 246),
    "water": (96, 182, 236),
}

_INK: Color = (38, 22, 46)
_PAPER: Color = (255, 250, 236)


def mix(color: Color, other: Color, percent: int) -> Color:
    """`percent` of the other color in this one."""
    red, green, blue = (
        (a * (100 - percent) + b * percent) // 100 for a, b in zip(color, other, strict=True)
    )
    return red, green, blue


def shifted(color: Color, shift: tuple[int, int, int]) -> Color:
    """The color with something added to each channel."""
    red, green, blue = (min(255, max(0, a + b)) for a, b in zip(color, shift, strict=True))
    return red, green, blue


def tones(palette: str, shift: tuple[int, int, int] = (0, 0, 0)) -> dict[str, Color]:
    """Every tone of a palette; `~tone` is the contour line around it."""
    main, accent = (shifted(color, shift) for color in PALETTES[palette])
    fills = TONES | {
        "main": main,
        "light": mix(main, _PAPER, 58),
        "dark": mix(main, _INK, 30),
        "accent": accent,
    }
    return fills | {f"~{tone}": mix(color, _INK, 68) for tone, color in fills.items()}


def without_color(color: Color) -> Color:
    """The gray of the same brightness."""
    level = (299 * color[0] + 587 * color[1] + 114 * color[2]) // 1000
    return level, level, level
