"""Who wrote this logit?"""

from vitreous.decomposition._direct_logit_shares import (
    direct_logit_shares,
    head_shares,
    shares_grid,
)
from vitreous.decomposition._head_outputs import head_outputs

__all__ = ["direct_logit_shares", "head_outputs", "head_shares", "shares_grid"]
