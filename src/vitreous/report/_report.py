"""What every report is: a page to look at, and to save."""

import os
from dataclasses import dataclass
from pathlib import Path

from vitreous.view import Page


@dataclass(frozen=True)
class Report:
    """A page, which a notebook shows by itself.

    Attributes:
        page: The page.
    """

    page: Page

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report as one HTML file, whole or not at all; see `Page.save`."""
        return self.page.save(path)

    def _repr_html_(self) -> str:
        return self.page._repr_html_()
