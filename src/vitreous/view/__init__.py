"""Tensors and labels in, a picture that a person looks at out.

A viewer shows itself in a notebook and saves itself as a file; a `Page` puts several in order.
Either is one HTML document that fetches nothing: viewers are custom elements, one ES module each,
that travel inside it together with their data.
"""

from vitreous.view._attention import MOST_SCORES, AttentionGallery
from vitreous.view._charts import Bars, HeatMap
from vitreous.view._circuit_graph import MOST_DRAWN, CircuitEdge, CircuitGraph, CircuitNode, EdgeSet
from vitreous.view._curve import Curve
from vitreous.view._head_cards import HeadCards, HeadMap
from vitreous.view._head_images import HeadImageMatrix
from vitreous.view._image_grid import ImageGrid
from vitreous.view._kept_logits import TopLogits
from vitreous.view._packing import Packed, exact, fitted, stepped, unpack
from vitreous.view._page import Page, Section
from vitreous.view._patch_lens import PatchLens
from vitreous.view._patch_strip import PatchStrip
from vitreous.view._picture import Picture
from vitreous.view._plotly import line, scatter
from vitreous.view._source_shares import SourceShares
from vitreous.view._table import Table
from vitreous.view._token_map import Layout, TokenMap
from vitreous.view._viewer import Viewer

__all__ = [
    "MOST_DRAWN",
    "MOST_SCORES",
    "AttentionGallery",
    "Bars",
    "CircuitEdge",
    "CircuitGraph",
    "CircuitNode",
    "Curve",
    "EdgeSet",
    "HeadCards",
    "HeadImageMatrix",
    "HeadMap",
    "HeatMap",
    "ImageGrid",
    "Layout",
    "Packed",
    "Page",
    "PatchLens",
    "PatchStrip",
    "Picture",
    "Section",
    "SourceShares",
    "Table",
    "TokenMap",
    "TopLogits",
    "Viewer",
    "exact",
    "fitted",
    "line",
    "scatter",
    "stepped",
    "unpack",
]
