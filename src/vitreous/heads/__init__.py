"""What does each head do?"""

from vitreous.heads._attention_distance import attention_distance
from vitreous.heads._attention_rollout import attention_rollout, fuse, roll_out
from vitreous.heads._head_patterns import head_patterns
from vitreous.heads._head_profile import head_profile
from vitreous.heads._identities import motif_identities
from vitreous.heads._name_heads import HeadName, name_heads
from vitreous.heads._score_heads import score_heads
from vitreous.heads._table import HEAD_SCORES, HeadScore

__all__ = [
    "HEAD_SCORES",
    "HeadName",
    "HeadScore",
    "attention_distance",
    "attention_rollout",
    "fuse",
    "head_patterns",
    "head_profile",
    "motif_identities",
    "name_heads",
    "roll_out",
    "score_heads",
]
