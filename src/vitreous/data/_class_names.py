"""The names of a head's classes, and the one way to look them up."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vitreous._errors import UnknownNameError, unknown

_SHOWN_MATCHES = 8


@dataclass(frozen=True)
class ClassNames:
    """What a classifier's outputs are called.

    A name may hold synonyms, divided by commas, as ImageNet's do ("tench, Tinca tinca").

    Attributes:
        names: One per class, in the order of the logits.
        emoji: One per class, or None.
    """

    names: tuple[str, ...]
    emoji: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.emoji is not None and len(self.emoji) != len(self.names):
            raise ValueError(
                f"`emoji` must have one entry per class; got {len(self.emoji)} for "
                f"{len(self.names)} classes. Pass None if there are none."
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, label: int) -> str:
        return self.names[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def label(self, label: int) -> str:
        """The class as a person reads it: emoji, where there is one, and name."""
        return f"{self.emoji[label]} {self.names[label]}" if self.emoji else self.names[label]

    def find(self, text: str) -> int:
        """The index of the one class that `text` names.

        Case doesn't matter. A full name comes first, then a synonym, then whole words within a
        name, so "cat" finds "tiger cat" but never "cattle" or "bullfrog".

        Raises:
            UnknownNameError: No class matches (with the nearest names), or several do (with all
                of them).
        """
        wanted = " ".join(text.split()).casefold()
        for stage in (_is_name, _is_synonym, _has_words):
            matches = [i for i, name in enumerate(self.names) if stage(name.casefold(), wanted)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise self._ambiguous(text, matches)
        synonyms = dict.fromkeys(s for name in self.names for s in _synonyms(name))
        raise unknown("class", text, synonyms, f"Pass a name or an index below {len(self)}.")

    def to_json(self) -> dict[str, Any]:
        """Plain lists and strings; `from_json` reads them back."""
        return {
            "names": list(self.names),
            "emoji": list(self.emoji) if self.emoji else None,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ClassNames":
        """Builds what `to_json` wrote."""
        return cls(tuple(fields["names"]), tuple(fields["emoji"]) if fields["emoji"] else None)

    def _ambiguous(self, text: str, matches: list[int]) -> UnknownNameError:
        shown = ", ".join(f"{i} ({self.names[i]})" for i in matches[:_SHOWN_MATCHES])
        more = len(matches) - _SHOWN_MATCHES
        return UnknownNameError(
            f"{text!r} must name one class; got {len(matches)}: {shown}"
            f"{f' and {more} more' if more > 0 else ''}. Pass a fuller name or an index."
        )


def _synonyms(name: str) -> list[str]:
    return [part.strip() for part in name.split(",")]


def _is_name(name: str, wanted: str) -> bool:
    return name == wanted


def _is_synonym(name: str, wanted: str) -> bool:
    return wanted in _synonyms(name)


def _has_words(name: str, wanted: str) -> bool:
    return bool(wanted) and bool(re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", name))
