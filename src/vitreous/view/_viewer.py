"""What every viewer is: an element, its payload, and a document of its own."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from vitreous._whole import written_whole
from vitreous.view._document import Freight, document
from vitreous.view._frame import frame


class Viewer(ABC):
    """A picture on a page or by itself; a notebook shows it when a cell ends with it.

    Attributes:
        tag: Name of the custom element that draws it; the ES module that defines it is
            `<tag without vt->.js`.
    """

    tag: ClassVar[str]

    @abstractmethod
    def payload(self) -> Mapping[str, Any]:
        """JSON values in which arrays stand as `Packed` and images as `Picture`."""

    @abstractmethod
    def height(self, width: float) -> float:
        """About how high it is in a column of this width, in pixels; what frames are made by."""

    def html(self) -> str:
        """A whole HTML document with just this viewer, for a frame of any width."""
        freight = Freight()
        element = freight.element(self.tag, self.payload())
        return document(self._title, element, freight, embedded=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the viewer as an HTML file that fetches nothing, whole or not at all.

        Raises:
            OSError: The file can't be written there; the message names it and says why.
        """
        path = Path(path)
        with written_whole(path) as beside:
            beside.write_text(self.html(), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return frame(self._title, self.html(), self.height)

    @property
    def _title(self) -> str:
        return self.tag.removeprefix("vt-").replace("-", " ").capitalize()
