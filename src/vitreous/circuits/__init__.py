"""Which edges suffice: discovery of circuits, and how good what was found is."""

from vitreous.circuits._auroc import auroc, average_precision
from vitreous.circuits._discover import discover

__all__ = ["auroc", "average_precision", "discover"]
