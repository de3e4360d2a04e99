"""How letters are written: each a few strokes on a grid 4 wide and 6 high."""

from typing import Any

Stroke = tuple[tuple[int, int], ...]


def _strokes(text: str) -> tuple[Stroke, ...]:
    return tuple(
        tuple((int(point[0]), int(point[1])) for point in stroke.split("-"))
        for stroke in text.split()
    )


# Strokes divided by spaces, points by hyphens: column then row, from the top left.
LETTERS: dict[str, tuple[Stroke, ...]] = {
    letter: _strokes(strokes)
    for letter, strokes in {
        "A": "06-20-46 14-34",
        "B": "00-06-36-45-44-33-03 33-42-41-30-00",
        "C": "41-30-10-01-05-16-36-45",
        "D": "00-06-26-44-42-20-00",
        "E": "40-00-06-46 03-33",
        "F": "40-00-06 03-33",
        "G": "41-30-10-01-05-16-36-45-43-23",
        "H": "00-06 40-46 03-43",
        "I": "20-26 10-30 16-36",
        "J": "40-45-36-16-05",
        "K": "00-06 40-03-46",
        "L": "00-06-46",
        "M": "06-00-23-40-46",
        "N": "06-00-46-40",
        "O": "10-30-41-45-36-16-05-01-10",
        "P": "06-00-30-41-42-33-03",
        "Q": "10-30-41-45-36-16-05-01-10 24-46",
        "R": "06-00-30-41-42-33-03 23-46",
        "S": "41-30-10-01-02-13-33-44-45-36-16-05",
        "T": "00-40 20-26",
        "U": "00-05-16-36-45-40",
        "V": "00-26-40",
        "W": "00-16-23-36-40",
        "X": "00-46 40-06",
        "Y": "00-23-40 23-26",
        "Z": "00-40-06-46",
        "0": "10-30-41-45-36-16-05-01-10",
        "1": "11-20-26",
        "2": "01-10-30-41-42-06-46",
        "3": "00-40-23-33-44-45-36-16-05",
        "4": "36-30-04-44",
        "5": "40-00-03-33-44-45-36-06",
        "6": "40-20-02-05-16-36-45-44-33-03",
        "7": "00-40-16",
        "8": "13-02-01-10-30-41-42-33-13-04-05-16-36-45-44-33",
        "9": "43-13-02-01-10-30-41-44-26-06",
        "+": "21-25 03-43",
        "?": "01-10-30-41-42-23-24 26-26",
        " ": "",
    }.items()
}
ADVANCE = 6
LETTER_HEIGHT = 6
"""Of all letters, in the steps of their grid."""


def letter_strokes(text: str) -> list[Stroke]:
    """The strokes of a text: lines through points (column, row), from the top left.

    Args:
        text: Letters of either case (they are written as capitals), digits, space, + and ?.

    Raises:
        ValueError: A character has no strokes.
    """
    require_letters(text)
    return [
        tuple((place * ADVANCE + column, row) for column, row in stroke)
        for place, letter in enumerate(text.upper())
        for stroke in LETTERS[letter]
    ]


def letters_width(text: str) -> int:
    """How wide a text is, in the steps of the grid of letters."""
    return len(text) * ADVANCE - 2


def require_letters(text: Any) -> None:
    """Raises `ValueError` for what can't be painted."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"`text` must be a text with a letter; got {text!r}. Try 'CAT'.")
    for letter in text.upper():
        if letter not in LETTERS:
            raise ValueError(
                f"`text` must be written with A-Z, 0-9, space, + and ?; got {letter!r}. "
                "Leave it out."
            )
