"""What causes this?"""

from vitreous.patching._ablate_heads import ablate_heads
from vitreous.patching._manifold_distance import CleanActivations, manifold_distance

__all__ = ["CleanActivations", "ablate_heads", "manifold_distance"]
