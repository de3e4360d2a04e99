"""What does the model believe by now?"""

from vitreous.lenses._logit_lens import logit_lens
from vitreous.lenses._reader import lens_logits
from vitreous.lenses._reading import Translator, read_lens

__all__ = ["Translator", "lens_logits", "logit_lens", "read_lens"]
