"""Who wrote this logit?"""

from vitreous.decomposition._clean_up import clean_up, misleading_shares
from vitreous.decomposition._composition_scores import composition_scores
from vitreous.decomposition._direct_logit_shares import (
    direct_logit_attribution,
    direct_logit_shares,
    head_shares,
    source_shares,
)
from vitreous.decomposition._groups import group_accuracies
from vitreous.decomposition._head_outputs import head_outputs
from vitreous.decomposition._head_weights import ov_circuits, singular_directions
from vitreous.decomposition._mean_ablation_curve import mean_ablation_curve
from vitreous.decomposition._neuron_weights import neuron_patches, neuron_reads, neuron_writes
from vitreous.decomposition._rank_spurious_heads import rank_spurious_heads
from vitreous.decomposition._remove_heads import WithoutHeads, remove_heads
from vitreous.decomposition._second_order_shares import second_order_shares
from vitreous.decomposition._shares_grid import by_layer, shares_grid
from vitreous.decomposition._sparse_text_code import sparse_text_code
from vitreous.decomposition._text_span import TextSpan, text_span
from vitreous.decomposition._zero_shot_segmentation import foreground, zero_shot_segmentation

__all__ = [
    "TextSpan",
    "WithoutHeads",
    "by_layer",
    "clean_up",
    "composition_scores",
    "direct_logit_attribution",
    "direct_logit_shares",
    "foreground",
    "group_accuracies",
    "head_outputs",
    "head_shares",
    "mean_ablation_curve",
    "misleading_shares",
    "neuron_patches",
    "neuron_reads",
    "neuron_writes",
    "ov_circuits",
    "rank_spurious_heads",
    "remove_heads",
    "second_order_shares",
    "shares_grid",
    "singular_directions",
    "source_shares",
    "sparse_text_code",
    "text_span",
    "zero_shot_segmentation",
]
