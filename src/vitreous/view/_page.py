"""A page: sections of viewers in one HTML file that fetches nothing."""

import base64
import hashlib
import html
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from vitreous._whole import written_whole
from vitreous.view._packing import Packed
from vitreous.view._viewer import Picture, Viewer

_IMPORTED_MODULE = re.compile(r'from "vitreous/([a-z-]+\.js)"')


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: The heading, often a question.
        viewers: What it shows, side by side where there is room.
        lede: One or two sentences above the viewers.
        note: A line of small print below them.
        columns: Widths of the columns as CSS fractions, such as (2, 3); one column each by default.
    """

    title: str
    viewers: Sequence[Viewer]
    lede: str = ""
    note: str = ""
    columns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Page:
    """A self-contained page. All texts are shown as text, whatever they contain.

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
        freight = _Freight()
        sections = [
            {"section": section, "viewers": [freight.load(viewer) for viewer in section.viewers]}
            for section in self.sections
        ]
        modules = _modules({"page.js", *freight.modules})
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(_asset("page.html")).render(
            page=self,
            sections=sections,
            style=_asset("page.css"),
            import_map=_as_script_json({"imports": modules}),
            entries=sorted({"page.js", *freight.modules}),
            freight=freight,
        )

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
        return (
            '<iframe sandbox="allow-scripts" style="width: 100%; height: 80vh; border: 0" '
            f'title="{html.escape(self.title)}" srcdoc="{html.escape(self.html())}"></iframe>'
        )


@dataclass
class _Freight:
    """The data of all viewers; equal arrays and pictures are loaded once."""

    payloads: list[dict[str, str]] = field(default_factory=list)
    arrays: dict[str, dict[str, str]] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def load(self, viewer: Viewer) -> dict[str, str]:
        self.modules.add(viewer.tag.removeprefix("vt-") + ".js")
        identity = f"payload-{len(self.payloads)}"
        text = _as_script_json(
            {name: self._stow(value) for name, value in viewer.payload().items()}
        )
        self.payloads.append({"id": identity, "json": text})
        return {"tag": viewer.tag, "payload": identity}

    def _stow(self, value: Any) -> Any:
        if isinstance(value, Picture):
            return {"$picture": self._stow_picture(value)}
        if isinstance(value, Packed):
            return {"$array": self._stow_array(value)}
        return value

    def _stow_picture(self, picture: Picture) -> str:
        identity = f"picture-{hashlib.sha256(picture.png).hexdigest()[:16]}"
        self.pictures[identity] = base64.b64encode(picture.png).decode()
        return identity

    def _stow_array(self, packed: Packed) -> str:
        shape = ",".join(str(size) for size in packed.shape)
        digest = hashlib.sha256(f"{packed.kind}:{shape}:".encode() + packed.data).hexdigest()
        identity = f"array-{digest[:16]}"
        if identity not in self.arrays:
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)  # negative: no header, "deflate-raw"
            data = deflate.compress(packed.data) + deflate.flush()
            text = base64.b64encode(data).decode()
            self.arrays[identity] = {"kind": packed.kind, "shape": shape, "data": text}
        return identity


def _modules(entries: set[str]) -> dict[str, str]:
    """The modules and all that they import, as `data:` URLs by the names they are imported by."""
    texts: dict[str, str] = {}
    waiting = set(entries)
    while waiting:
        name = waiting.pop()
        texts[name] = _asset(name)
        waiting |= set(_IMPORTED_MODULE.findall(texts[name])) - texts.keys()
    return {
        f"vitreous/{name}": "data:text/javascript;base64,"
        + base64.b64encode(text.encode()).decode()
        for name, text in sorted(texts.items())
    }


def _asset(name: str) -> str:
    return resources.files("vitreous.view").joinpath(name).read_text(encoding="utf-8")


def _as_script_json(value: Any) -> str:
    # Inside <script>, only a "<" could end the element or open a comment.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
