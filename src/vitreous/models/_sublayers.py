"""The attentions of a block: one, or one over time and one over space."""

from dataclasses import dataclass

from vitreous.models._config import TransformerConfig


@dataclass(frozen=True)
class AttentionNames:
    """What one attention of a block is called: its module, norm and hook points.

    Attributes:
        attn: The attention.
        norm: The norm in front of it.
        reads: The stream that it reads.
        letter: Of its heads, in labels such as `L3H4`.
    """

    attn: str
    norm: str
    reads: str
    letter: str

    @property
    def adds(self) -> str:
        """What it adds to the stream."""
        return f"hook_{self.attn}_out"

    @property
    def enters(self) -> str:
        """The stream once per head."""
        return f"hook_{self.attn}_in"

    def input(self, letter: str) -> str:
        """What queries, keys or values are made of."""
        return f"hook_{letter}{self.attn.removeprefix('attn')}_input"


PLAIN = AttentionNames("attn", "ln1", "hook_resid_pre", "H")
OVER_TIME = AttentionNames("attn_time", "ln_time", "hook_resid_pre", "T")
BEHIND_TIME = AttentionNames("attn", "ln1", "hook_resid_time", "H")


def attentions_of(config: TransformerConfig) -> tuple[AttentionNames, ...]:
    """The attentions of a block, in forward order."""
    return (OVER_TIME, BEHIND_TIME) if config.divides_space_time else (PLAIN,)
