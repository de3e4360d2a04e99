"""A page: sections of viewers in one HTML file that fetches nothing."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitreous._whole import written_whole
from vitreous.view._document import Freight, document, render
from vitreous.view._frame import MARGIN, STACKED_BELOW, frame, lines
from vitreous.view._viewer import Viewer

_GAP = 48  # between columns, in pixels
_MANY = 4  # sections that deserve a table of contents


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: The heading, often a question.
        viewers: What it shows, side by side where there is room.
        lede: One or two sentences above the viewers.
        note: A line of small print below them.
        columns: Widths of the columns as CSS fractions, such as (2, 3); one column by default.
        folded: Whether only the heading shows until a reader opens it, or comes by its address.
        warnings: Sentences that stand out above the viewers: what would mislead a reader.
    """

    title: str
    viewers: Sequence[Viewer]
    lede: str = ""
    note: str = ""
    columns: tuple[int, ...] = ()
    folded: bool = False
    warnings: Sequence[str] = ()

    def height(self, width: float) -> float:
        """About how high it is in a frame, at this width, in pixels."""
        if self.folded:
            return 60
        texts = 24 * lines(self.lede, width, 15) + 21 * lines(self.note, width, 13)
        warnings = sum(21 * lines(each, width, 13) + 6 for each in self.warnings)
        return 50 + texts + warnings + (40 if warnings else 0) + sum(self._rows(width))

    def _rows(self, width: float) -> Iterator[float]:
        shares = self.columns if width + 2 * MARGIN >= STACKED_BELOW and self.columns else (1,)
        room = width - _GAP * (len(shares) - 1)
        for first in range(0, len(self.viewers), len(shares)):
            row = zip(self.viewers[first:], shares, strict=False)
            yield 32 + max(viewer.height(room * share / sum(shares)) for viewer, share in row)


@dataclass(frozen=True)
class Page:
    """A self-contained page. All texts are shown as text, whatever they contain.

    Each section folds, and has an address of its own, `page.html#section-` and its title; viewers
    that have a state keep it in the address too, so that a link leads to what one sees. Pages of
    four sections and more begin with a table of contents. On paper all sections are open.

    Attributes:
        title: The heading.
        sections: What it shows, in order.
        subtitle: A line below the heading.
        facts: Names and values in the header, such as the prediction.
        footer: Names and values at the end: where all this comes from.
    """

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    footer: Mapping[str, str] = field(default_factory=dict)

    def html(self) -> str:
        """The whole page as one HTML document."""
        return self._document(embedded=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page; a file that was there before stays whole until the new one is complete.

        Raises:
            OSError: The file can't be written there; the message names it and says why.
        """
        path = Path(path)
        with written_whole(path) as beside:
            beside.write_text(self.html(), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return frame(self.title, self._document(embedded=True), self._height, at_most="90vh")

    def _document(self, *, embedded: bool) -> str:
        freight = Freight()
        sections = [
            (
                identity,
                section,
                [freight.element(viewer.tag, viewer.payload()) for viewer in section.viewers],
            )
            for identity, section in zip(self._identities(), self.sections, strict=True)
        ]
        contents = len(self.sections) >= _MANY and not embedded
        body = render(
            "page.html", page=self, sections=sections, contents=contents, embedded=embedded
        )
        return document(self.title, body, freight, embedded=embedded)

    def _identities(self) -> list[str]:
        """What an address calls each section; sections of one title are numbered."""
        words = [re.sub(r"\W+", "-", section.title.lower()).strip("-") for section in self.sections]
        found: dict[str, None] = {}
        for word in words:
            identity, number = f"section-{word}", 1
            while identity in found:
                number += 1
                identity = f"section-{word}-{number}"
            found[identity] = None
        return list(found)

    def _height(self, width: float) -> float:
        head = 32 * lines(self.title, width, 25) + 28 * lines(self.subtitle, width, 17)
        facts = 75 * bool(self.facts)
        footer = 100 + 60 * len(self.footer) if self.footer else 0
        return head + facts + footer + sum(section.height(width) for section in self.sections)
