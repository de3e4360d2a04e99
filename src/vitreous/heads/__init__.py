"""What does each head do?"""

from vitreous.heads._score_heads import score_heads
from vitreous.heads._table import HEAD_SCORES, HeadScore

__all__ = ["HEAD_SCORES", "HeadScore", "score_heads"]
