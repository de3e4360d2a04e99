"""What does the model believe by now?"""

from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._reader import lens_logits
from vitreous.lenses._reading import Translator, read_lens
from vitreous.lenses._segmentation import segmentation
from vitreous.lenses._segmentation_score import average_precision, emergent_segmentation_score

__all__ = [
    "Translator",
    "average_precision",
    "emergent_segmentation_score",
    "lens_logits",
    "logit_lens",
    "read_lens",
    "segmentation",
]
