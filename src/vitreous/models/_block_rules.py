"""How the values inside of one block follow from one another."""

import itertools
from collections.abc import Collection
from typing import TYPE_CHECKING

from jaxtyping import Bool
from torch import Tensor

from vitreous.models._attention_rules import AttentionRules
from vitreous.models._rules import IsStored, Rule, mlp_rule, norm_rule, same, sum_of

if TYPE_CHECKING:
    from vitreous.models._block import Block


class BlockRules:
    """The rules of one block, whose names are those in it: `attn.hook_q`.

    Args:
        block: The block.
        is_stored: Whether a point of it was stored.
        edited: The points of it that hooks edited.
        hidden: The tokens of each sequence that nobody attended to.
    """

    def __init__(
        self,
        block: "Block",
        is_stored: IsStored,
        edited: Collection[str],
        hidden: Bool[Tensor, "batch keys"] | None,
    ) -> None:
        self.block, self.is_stored = block, is_stored
        self.attentions = [
            AttentionRules(block, names, is_stored, edited, hidden) for names in block.attentions
        ]

    def rule(self, name: str) -> Rule | None:
        """None for the stream that enters, and for names that the block lacks."""
        in_attention = (rules.rule(name) for rules in self.attentions)
        return next(filter(None, in_attention), None) or self._stream().get(name) or self._mlp(name)

    def _stream(self) -> dict[str, Rule]:
        """The sums that the block declares."""
        rules: dict[str, Rule] = {}
        names = [each.names for each in self.attentions]
        for before, after in itertools.pairwise(names):
            rules[after.reads] = sum_of(before.reads, before.adds)
        last, block = names[-1], self.block
        if block.mlp is None:
            rules["hook_resid_post"] = sum_of(last.reads, last.adds)
        elif block.parallel:
            rules["hook_resid_post"] = sum_of(last.reads, last.adds, "hook_mlp_out")
        else:
            rules["hook_resid_mid"] = sum_of(last.reads, last.adds)
            rules["hook_mlp_in"] = (["hook_resid_mid"], same)
            rules["hook_resid_post"] = sum_of("hook_resid_mid", "hook_mlp_out")
        return rules

    def _mlp(self, name: str) -> Rule | None:
        block = self.block
        if block.mlp is None:
            return None
        if block.parallel:
            return mlp_rule(block.mlp, name, self.attentions[-1].read, self.is_stored)
        if name.startswith("ln2."):
            return norm_rule(name, block.ln2, "hook_mlp_in", self.is_stored)
        read = "hook_mlp_in" if block.ln2 is None else "ln2.hook_normalized"
        return mlp_rule(block.mlp, name, read, self.is_stored)
