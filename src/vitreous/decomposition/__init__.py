"""Who wrote this logit?"""

from vitreous.decomposition._direct_logit_shares import (
    direct_logit_shares,
    head_shares,
    shares_grid,
)
from vitreous.decomposition._head_outputs import head_outputs
from vitreous.decomposition._mean_ablation_curve import mean_ablation_curve
from vitreous.decomposition._sparse_text_code import sparse_text_code
from vitreous.decomposition._text_span import TextSpan, text_span

__all__ = [
    "TextSpan",
    "direct_logit_shares",
    "head_outputs",
    "head_shares",
    "mean_ablation_curve",
    "shares_grid",
    "sparse_text_code",
    "text_span",
]
