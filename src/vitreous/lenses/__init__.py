"""What does the model believe by now?"""

from vitreous.lenses._logit_lens import lens_logits, logit_lens

__all__ = ["lens_logits", "logit_lens"]
