"""What causes this?"""

from vitreous.patching._ablate_heads import ablate_heads

__all__ = ["ablate_heads"]
