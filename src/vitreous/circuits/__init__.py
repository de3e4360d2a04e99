"""Which edges suffice?"""

from vitreous.circuits._masked_runs import MaskedRuns
from vitreous.circuits._written import Written

__all__ = ["MaskedRuns", "Written"]
