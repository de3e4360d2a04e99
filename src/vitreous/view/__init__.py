"""Tensors and labels in, a picture that a person looks at out.

A `Page` is one HTML file that fetches nothing: its viewers are custom elements, one ES module each,
that travel inside it together with their data.
"""

from vitreous.view._attention import AttentionGallery
from vitreous.view._charts import Bars, HeatMap
from vitreous.view._packing import Packed, exact, fitted, stepped, unpack
from vitreous.view._page import Page, Section
from vitreous.view._patches import ImageGrid, PatchLens
from vitreous.view._viewer import Picture, TokenMap, Viewer

__all__ = [
    "AttentionGallery",
    "Bars",
    "HeatMap",
    "ImageGrid",
    "Packed",
    "Page",
    "PatchLens",
    "Picture",
    "Section",
    "TokenMap",
    "Viewer",
    "exact",
    "fitted",
    "stepped",
    "unpack",
]
