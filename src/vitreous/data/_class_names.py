"""The names of a head's classes, and the one way to look them up."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vitreous._errors import UnknownNameError, unknown

_SHOWN_MATCHES = 8
_PER_CLASS = ("emoji", "groups", "colors", "synset_ids")
_COLOR = re.compile("#[0-9a-f]{6}")


@dataclass(frozen=True)
class ClassNames:
    """What a classifier's outputs are called.

    A name may hold synonyms, divided by commas, as ImageNet's do ("tench, Tinca tinca"). All else
    has one entry per class as well, or is None.

    Attributes:
        names: In the order of the logits.
        emoji: A picture of the class.
        groups: Where the class stands in a hierarchy, from the widest group to the narrowest:
            "animal/mammal/dog".
        colors: "#rrggbb", alike for classes that are alike.
        synset_ids: What WordNet calls the class ("n01440764"), and ImageNet's folders.
    """

    names: tuple[str, ...]
    emoji: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    colors: tuple[str, ...] | None = None
    synset_ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for field in _PER_CLASS:
            entries = getattr(self, field)
            if entries is not None and len(entries) != len(self.names):
                raise ValueError(
                    f"`{field}` must have one entry per class; got {len(entries)} for "
                    f"{len(self.names)} classes. Pass None if there are none."
                )
        for color in self.colors or ():
            if not _COLOR.fullmatch(color):
                raise ValueError(
                    f"`colors` must be written #rrggbb; got {color!r}. Pass hexadecimal colors."
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

        Case doesn't matter. A full name or a synset id comes first, then the synonym that stands
        first, then any synonym, then whole words within a name, so "cat" finds "tiger cat" but
        never "cattle" or "bullfrog".

        Raises:
            UnknownNameError: No class matches (with the nearest names), or several do (with all
                of them).
        """
        wanted = " ".join(text.split()).casefold()
        if wanted in (self.synset_ids or ()):
            return self.synset_ids.index(wanted)  # type: ignore[union-attr]
        lowered = (name.casefold() for name in self.names)
        near = [(i, name) for i, name in enumerate(lowered) if wanted in name]
        for stage in (_is_name, _is_first_synonym, _is_synonym, _has_words):
            matches = [i for i, name in near if stage(name, wanted)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise self._ambiguous(text, matches)
        known = dict.fromkeys(s for name in self.names for s in synonyms(name))
        raise unknown("class", text, known, f"Pass a name or an index below {len(self)}.")

    @property
    def group_names(self) -> tuple[str, ...]:
        """All groups, the widest of a branch first; none where classes have no hierarchy."""
        parts = (part for path in self.groups or () for part in path.split("/"))
        return tuple(dict.fromkeys(parts))

    def group(self, name: str) -> tuple[int, ...]:
        """The indices of all classes in a group: `model.target(labels.group("dog"))`.

        Case doesn't matter; a wide group holds the narrow ones within it.

        Raises:
            UnknownNameError: No group is called that, or these classes have no groups.
        """
        wanted = " ".join(name.split()).casefold()
        if wanted not in self.group_names:
            hint = "`group_names` lists them all." if self.groups else "These classes have none."
            raise unknown("group", name, self.group_names, hint)
        return tuple(i for i, path in enumerate(self.groups or ()) if wanted in path.split("/"))

    def to_json(self) -> dict[str, Any]:
        """Plain lists and strings; `from_json` reads them back."""
        given = {field: getattr(self, field) for field in _PER_CLASS}
        return {
            "names": list(self.names),
            **{field: list(entries) for field, entries in given.items() if entries is not None},
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ClassNames":
        """Builds what `to_json` wrote."""
        names = tuple(fields["names"])
        given = {field: fields.get(field) for field in _PER_CLASS}
        return cls(
            names,
            **{field: tuple(entries) for field, entries in given.items() if entries is not None},
        )

    def _ambiguous(self, text: str, matches: list[int]) -> UnknownNameError:
        shown = ", ".join(f"{i} ({self.label(i)})" for i in matches[:_SHOWN_MATCHES])
        more = len(matches) - _SHOWN_MATCHES
        group = " ".join(text.split()).casefold()
        whole = f", or `group({group!r})` for all of that group" * (group in self.group_names)
        return UnknownNameError(
            f"{text!r} must name one class; got {len(matches)}: {shown}"
            f"{f' and {more} more' if more > 0 else ''}. Pass a fuller name or an index{whole}."
        )


def synonyms(name: str) -> list[str]:
    """The names that a name holds, the one to show first."""
    return [part.strip() for part in name.split(",")]


def _is_name(name: str, wanted: str) -> bool:
    return name == wanted


def _is_first_synonym(name: str, wanted: str) -> bool:
    return synonyms(name)[0] == wanted


def _is_synonym(name: str, wanted: str) -> bool:
    return wanted in synonyms(name)


def _has_words(name: str, wanted: str) -> bool:
    return bool(wanted) and bool(re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", name))
