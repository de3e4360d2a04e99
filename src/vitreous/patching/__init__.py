"""What causes this?"""

from vitreous.patching._ablate_heads import ablate_heads
from vitreous.patching._attribution_patching import attribution_patching
from vitreous.patching._find_switch import find_switch
from vitreous.patching._manifold_distance import CleanActivations, manifold_distance
from vitreous.patching._patch_edges import patch_edges
from vitreous.patching._path_patching import path_patching
from vitreous.patching._switch_generality import switch_generality

__all__ = [
    "CleanActivations",
    "ablate_heads",
    "attribution_patching",
    "find_switch",
    "manifold_distance",
    "patch_edges",
    "path_patching",
    "switch_generality",
]
