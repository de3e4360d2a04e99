"""A picture on its patch grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vitreous.view._picture import Picture
from vitreous.view._token_map import TokenMap
from vitreous.view._viewer import Viewer

WIDEST_PICTURE = 480
"""In pixels, as `page.css` has it."""


@dataclass(frozen=True)
class ImageGrid(Viewer):
    """A picture cut into the patches that a model sees; the patch under the cursor is named."""

    tag: ClassVar[str] = "vt-image-grid"
    picture: Picture
    tokens: TokenMap
    alt: str = "The picture, cut into patches"

    def payload(self) -> Mapping[str, Any]:
        return {"picture": self.picture, "tokens": self.tokens.payload(), "alt": self.alt}

    def height(self, width: float) -> float:
        return self.picture.height(min(width, WIDEST_PICTURE)) + 30
