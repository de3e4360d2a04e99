"""What does the model believe by now?"""

from vitreous.lenses._evaluation import evaluate_lens
from vitreous.lenses._jacobian_lens import JacobianLens
from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._reader import lens_logits
from vitreous.lenses._reading import Translator, read_lens
from vitreous.lenses._tuned_lens import TunedLens

__all__ = [
    "JacobianLens",
    "Translator",
    "TunedLens",
    "evaluate_lens",
    "lens_logits",
    "logit_lens",
    "read_lens",
]
