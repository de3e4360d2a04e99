"""Who wrote this logit?"""

from vitreous.decomposition._clean_up import clean_up, misleading_shares
from vitreous.decomposition._direct_logit_shares import (
    direct_logit_attribution,
    direct_logit_shares,
    head_shares,
    source_shares,
)
from vitreous.decomposition._second_order_shares import second_order_shares
from vitreous.decomposition._shares_grid import by_layer, shares_grid

__all__ = [
    "by_layer",
    "clean_up",
    "direct_logit_attribution",
    "direct_logit_shares",
    "head_shares",
    "misleading_shares",
    "second_order_shares",
    "shares_grid",
    "source_shares",
]
