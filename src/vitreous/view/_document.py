"""An HTML document that fetches nothing: modules, style and data travel inside of it."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from vitreous.view._packing import Packed
from vitreous.view._picture import Picture

_IMPORTED_MODULE = re.compile(r'from "vitreous/([a-z-]+\.js)"')


@dataclass
class Freight:
    """The data of all viewers; equal arrays and pictures are loaded once."""

    payloads: list[dict[str, str]] = field(default_factory=list)
    arrays: dict[str, dict[str, str]] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def element(self, tag: str, payload: Mapping[str, Any]) -> Markup:
        """Loads a viewer's payload; returns the element that reads it."""
        self.modules.add(tag.removeprefix("vt-") + ".js")
        identity = f"payload-{len(self.payloads)}"
        text = _as_script_json({name: self._stow(value) for name, value in payload.items()})
        self.payloads.append({"id": identity, "json": text})
        element = Markup('<{0} id="viewer:{1}" data-payload="{2}"></{0}>')
        return element.format(tag, len(self.payloads), identity)

    def _stow(self, value: Any) -> Any:
        if isinstance(value, Picture):
            return {"$picture": self._stow_picture(value)}
        if isinstance(value, Packed):
            return {"$array": self._stow_array(value)}
        if isinstance(value, list) and any(isinstance(each, Picture | Packed) for each in value):
            return {"$list": [self._stow(each) for each in value]}
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


def document(title: str, body: str, freight: Freight, *, embedded: bool) -> str:
    """An HTML document that fetches nothing: the body, and what its viewers are drawn from.

    Args:
        title: The document's title, as text.
        body: Its content, as HTML.
        freight: The data of the viewers in the body.
        embedded: Whether it stands in a frame of another page, without margins of its own.
    """
    entries = {"page.js", *freight.modules}
    return render(
        "document.html",
        title=title,
        body=Markup(body),
        style=_asset("page.css"),
        import_map=_as_script_json({"imports": _modules(entries)}),
        entries=sorted(entries),
        freight=freight,
        embedded=embedded,
    )


def render(template: str, **values: Any) -> str:
    """Fills one of the HTML templates; texts are escaped, `Markup` is not."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset(template)).render(values)


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
