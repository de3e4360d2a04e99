"""What does the model believe by now?"""

from vitreous.lenses._comparison import compare_lenses
from vitreous.lenses._evaluation import evaluate_lens
from vitreous.lenses._jacobian_lens import JacobianLens
from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._reader import lens_logits
from vitreous.lenses._reading import Translator, read_lens
from vitreous.lenses._segmentation import segmentation
from vitreous.lenses._segmentation_score import average_precision, emergent_segmentation_score
from vitreous.lenses._tuned_lens import TunedLens
from vitreous.lenses._when_known import known_from, when_known

__all__ = [
    "JacobianLens",
    "Translator",
    "TunedLens",
    "average_precision",
    "compare_lenses",
    "emergent_segmentation_score",
    "evaluate_lens",
    "known_from",
    "lens_logits",
    "logit_lens",
    "read_lens",
    "segmentation",
    "when_known",
]
