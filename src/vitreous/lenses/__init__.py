"""What does the model believe by now?"""

from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._reader import lens_logits
from vitreous.lenses._reading import Translator, read_lens
from vitreous.lenses._segmentation import segmentation
from vitreous.lenses._segmentation_score import average_precision, emergent_segmentation_score
from vitreous.lenses._when_known import known_from, when_known

__all__ = [
    "Translator",
    "average_precision",
    "emergent_segmentation_score",
    "known_from",
    "lens_logits",
    "logit_lens",
    "read_lens",
    "segmentation",
    "when_known",
]
