"""How the values inside of one block follow from one another."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from jaxtyping import Bool
from torch import Tensor

from vitreous.models._norms import Norm
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
        self.block, self.attn = block, block.attn
        self.is_stored, self.edited, self.hidden = is_stored, edited, hidden

    def rule(self, name: str) -> Rule | None:
        """None for the stream that enters, and for names that the block lacks."""
        if name.startswith("ln1."):
            return self._norm(name, self.block.ln1, "hook_resid_pre")
        return (
            self._stream().get(name)
            or self._queries_and_keys(name)
            or self._attention().get(name)
            or self._attention_output(name)
            or self._mlp(name)
        )

    def _stream(self) -> dict[str, Rule]:
        block = self.block
        rules: dict[str, Rule] = {"hook_attn_in": (["hook_resid_pre"], block.spread)}
        rules |= {f"hook_{letter}_input": (["hook_attn_in"], same) for letter in "qkv"}
        if block.mlp is None:
            rules["hook_resid_post"] = sum_of("hook_resid_pre", "hook_attn_out")
        elif block.parallel:
            rules["hook_resid_post"] = sum_of("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        else:
            rules["hook_resid_mid"] = sum_of("hook_resid_pre", "hook_attn_out")
            rules["hook_mlp_in"] = (["hook_resid_mid"], same)
            rules["hook_resid_post"] = sum_of("hook_resid_mid", "hook_mlp_out")
        return rules

    def _queries_and_keys(self, name: str) -> Rule | None:
        attn = self.attn
        if name in ("attn.hook_q", "attn.hook_k", "attn.hook_v"):
            return self._projection(name[-1])
        for letter, norm in (("q", attn.q_norm), ("k", attn.k_norm)):
            if name.startswith(f"attn.{letter}_norm."):
                return self._norm(name, norm, f"attn.hook_{letter}")
            if name == f"attn.hook_rot_{letter}":
                return [self._normalized(letter)], attn.turn
        return None

    def _projection(self, letter: str) -> Rule:
        """Queries, keys or values: from an input of their own where one was stored.

        Unless the shared norm was edited: heads read that then, since both can't be edited.
        """
        norm_is_edited = any(name.startswith("ln1.") for name in self.edited)
        for own in (f"hook_{letter}_input", "hook_attn_in"):
            if self.is_stored(own) and not norm_is_edited:
                return [f"hook_{letter}_input"], lambda x: self.attn.project_heads(
                    letter, self.block.normalize_own(x)
                )
        return [self._read()], lambda x: self.attn.project_one(letter, x)

    def _attention(self) -> dict[str, Rule]:
        attn = self.attn
        ends = [
            self._normalized(letter) if attn.rotary is None else f"attn.hook_rot_{letter}"
            for letter in "qk"
        ]
        return {
            "attn.hook_attn_scores": (ends, self._scores),
            "attn.hook_pattern": (["attn.hook_attn_scores"], attn.softmax),
            "attn.hook_z": (["attn.hook_pattern", "attn.hook_v"], attn.mix),
            "attn.hook_result": (["attn.hook_z", *self._scales()], self._results),
        }

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        return self.attn.scores(q, k, self.hidden)

    def _attention_output(self, name: str) -> Rule | None:
        attn = self.attn
        if name.startswith("attn.z_norm."):
            return self._norm(name, attn.z_norm, "attn.hook_z", _flat)
        z = "attn.hook_z" if attn.z_norm is None else "attn.z_norm.hook_normalized"
        if name.startswith("attn.out_norm."):
            return self._norm(name, attn.out_norm, z, _through(attn.project_out))
        if name != "hook_attn_out":
            return None
        written, write = z, _through(attn.project_out)
        if attn.out_norm is not None:
            written, write = "attn.out_norm.hook_normalized", same
        if not self.is_stored("attn.hook_result"):
            return [written], write
        return [written, "attn.hook_result", "attn.hook_z", *self._scales()], (
            lambda written, changed, z, *scales: attn.with_changed_results(
                write(written), self._results(z, *scales), changed
            )
        )

    def _scales(self) -> list[str]:
        return [f"attn.{name}.hook_scale" for name in self.attn.norms_of_output]

    def _results(self, z: Tensor, *scales: Tensor) -> Tensor:
        return self.attn.results(z, dict(zip(self.attn.norms_of_output, scales, strict=True)))

    def _mlp(self, name: str) -> Rule | None:
        block = self.block
        if block.mlp is None:
            return None
        if block.parallel:
            return mlp_rule(block.mlp, name, self._read(), self.is_stored)
        if name.startswith("ln2."):
            return self._norm(name, block.ln2, "hook_mlp_in")
        read = "hook_mlp_in" if block.ln2 is None else "ln2.hook_normalized"
        return mlp_rule(block.mlp, name, read, self.is_stored)

    def _read(self) -> str:
        """What all heads read."""
        return "hook_resid_pre" if self.block.ln1 is None else "ln1.hook_normalized"

    def _normalized(self, letter: str) -> str:
        has_norm = self.attn.q_norm is not None
        return f"attn.{letter}_norm.hook_normalized" if has_norm else f"attn.hook_{letter}"

    def _norm(
        self, name: str, norm: Norm | None, source: str, prepare: Callable[[Tensor], Tensor] = same
    ) -> Rule | None:
        return norm_rule(name, norm, source, self.is_stored, prepare)


def _through(project: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: project(_flat(z))


def _flat(z: Tensor) -> Tensor:
    """Heads side by side, whether they came apart or not."""
    return z.flatten(2)
