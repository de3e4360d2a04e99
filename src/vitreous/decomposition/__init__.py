"""Who wrote this logit?"""

from vitreous.decomposition._direct_logit_shares import (
    direct_logit_shares,
    head_shares,
    shares_grid,
)

__all__ = ["direct_logit_shares", "head_shares", "shares_grid"]
