"""Which edges suffice: discovery of circuits, and how good what was found is."""

from vitreous.circuits._acdc import acdc
from vitreous.circuits._auroc import auroc, average_precision
from vitreous.circuits._auroc_by_chance import auroc_by_chance
from vitreous.circuits._discover import discover
from vitreous.circuits._edge_pruning import edge_pruning
from vitreous.circuits._evaluation import faithfulness, split_pairs
from vitreous.circuits._evaluation_baselines import (
    score_at_random,
    score_by_weights,
    score_reversed,
)
from vitreous.circuits._evaluation_curve import MIB_SIZES, cmd, cpr, evaluate, faithfulness_curve
from vitreous.circuits._evaluation_members import completeness, minimality
from vitreous.circuits._exact import exact
from vitreous.circuits._masked_runs import MaskedRuns

__all__ = [
    "MIB_SIZES",
    "MaskedRuns",
    "acdc",
    "auroc",
    "auroc_by_chance",
    "average_precision",
    "cmd",
    "completeness",
    "cpr",
    "discover",
    "edge_pruning",
    "evaluate",
    "exact",
    "faithfulness",
    "faithfulness_curve",
    "minimality",
    "score_at_random",
    "score_by_weights",
    "score_reversed",
    "split_pairs",
]
