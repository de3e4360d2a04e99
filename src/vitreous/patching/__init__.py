"""What causes this?"""

from vitreous.patching._ablate_heads import ablate_heads
from vitreous.patching._attribution_patching import attribution_patching

__all__ = ["ablate_heads", "attribution_patching"]
