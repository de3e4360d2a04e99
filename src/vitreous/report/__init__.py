"""Where methods and views meet: pages that explain a model to a person."""

from vitreous.report._circuit_evidence import CircuitEvidence
from vitreous.report._circuit_report import CircuitReport, circuit_report
from vitreous.report._evidence import Evidence, Provenance
from vitreous.report._explain import Explanation, explain
from vitreous.report._head_evidence import HeadEvidence
from vitreous.report._head_gallery import HeadGallery, HeadGalleryEvidence, head_gallery
from vitreous.report._head_report import HeadReport, head_report
from vitreous.report._question import Question

__all__ = [
    "CircuitEvidence",
    "CircuitReport",
    "Evidence",
    "Explanation",
    "HeadEvidence",
    "HeadGallery",
    "HeadGalleryEvidence",
    "HeadReport",
    "Provenance",
    "Question",
    "circuit_report",
    "explain",
    "head_gallery",
    "head_report",
]
