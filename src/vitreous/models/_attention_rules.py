"""How the values of one attention of a block follow from one another."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from jaxtyping import Bool
from torch import Tensor

from vitreous.models._norms import Norm, normalize_own
from vitreous.models._rules import IsStored, Rule, norm_rule, same
from vitreous.models._sublayers import AttentionNames

if TYPE_CHECKING:
    from vitreous.models._block import Block


class AttentionRules:
    """The rules of one attention, by the names in its block: `attn.hook_q`.

    Args:
        block: The block.
        names: Which of its attentions.
        is_stored: Whether a point of the block was stored.
        edited: The points of the block that hooks edited.
        hidden: The tokens of each sequence that nobody attended to.
    """

    def __init__(
        self,
        block: "Block",
        names: AttentionNames,
        is_stored: IsStored,
        edited: Collection[str],
        hidden: Bool[Tensor, "batch keys"] | None,
    ) -> None:
        self.block, self.names, self.hidden = block, names, hidden
        self.attn, self.norm = block.attention(names), block.norm_of(names)
        self.is_stored, self.edited = is_stored, edited

    def rule(self, name: str) -> Rule | None:
        """None for names that aren't of this attention."""
        if name.startswith(f"{self.names.norm}."):
            return self._norm(name, self.norm, self.names.reads)
        own = {self.names.input(letter): ([self.names.enters], same) for letter in "qkv"}
        rules: dict[str, Rule] = {self.names.enters: ([self.names.reads], self.block.spread)}
        rules |= own | self._attention()
        return rules.get(name) or self._queries_and_keys(name) or self._output(name)

    @property
    def read(self) -> str:
        """What all heads read."""
        return self.names.reads if self.norm is None else f"{self.names.norm}.hook_normalized"

    def _at(self, local: str) -> str:
        return f"{self.names.attn}.{local}"

    def _queries_and_keys(self, name: str) -> Rule | None:
        attn = self.attn
        for letter in "qkv":
            if name == self._at(f"hook_{letter}"):
                return self._projection(letter)
        for letter, norm in (("q", attn.q_norm), ("k", attn.k_norm)):
            if name.startswith(self._at(f"{letter}_norm.")):
                return self._norm(name, norm, self._at(f"hook_{letter}"))
            if name == self._at(f"hook_rot_{letter}"):
                return [self._normalized(letter)], attn.turn
        return None

    def _projection(self, letter: str) -> Rule:
        """Queries, keys or values: from an input of their own where one was stored.

        Unless the shared norm was edited: heads read that then, since both can't be edited.
        """
        norm_is_edited = any(name.startswith(f"{self.names.norm}.") for name in self.edited)
        for own in (self.names.input(letter), self.names.enters):
            if self.is_stored(own) and not norm_is_edited:
                return [self.names.input(letter)], lambda x: self.attn.project_heads(
                    letter, normalize_own(self.norm, x)
                )
        return [self.read], lambda x: self.attn.project_one(letter, x)

    def _attention(self) -> dict[str, Rule]:
        attn, at = self.attn, self._at
        ends = [at(attn.meeting_point(letter)) for letter in "qk"]
        return {
            at("hook_attn_scores"): (ends, self._scores),
            at("hook_pattern"): ([at("hook_attn_scores")], attn.softmax),
            at("hook_z"): ([at("hook_pattern"), at("hook_v")], attn.mix),
            at("hook_result"): ([at("hook_z"), *self._scales()], self._results),
        }

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        return self.attn.scores(q, k, self.hidden)

    def _output(self, name: str) -> Rule | None:
        attn, at = self.attn, self._at
        if name.startswith(at("z_norm.")):
            return self._norm(name, attn.z_norm, at("hook_z"), _flat)
        z = at("hook_z") if attn.z_norm is None else at("z_norm.hook_normalized")
        if name.startswith(at("out_norm.")):
            return self._norm(name, attn.out_norm, z, _through(attn.project_out))
        if name != self.names.adds:
            return None
        written, write = z, _through(attn.project_out)
        if attn.out_norm is not None:
            written, write = at("out_norm.hook_normalized"), same
        if not self.is_stored(at("hook_result")):
            return [written], write
        return [written, at("hook_result"), at("hook_z"), *self._scales()], (
            lambda written, changed, z, *scales: attn.with_changed_results(
                write(written), self._results(z, *scales), changed
            )
        )

    def _scales(self) -> list[str]:
        return [self._at(f"{name}.hook_scale") for name in self.attn.norms_of_output]

    def _results(self, z: Tensor, *scales: Tensor) -> Tensor:
        return self.attn.results(z, dict(zip(self.attn.norms_of_output, scales, strict=True)))

    def _normalized(self, letter: str) -> str:
        has_norm = self.attn.q_norm is not None
        return self._at(f"{letter}_norm.hook_normalized" if has_norm else f"hook_{letter}")

    def _norm(
        self, name: str, norm: Norm | None, source: str, prepare: Callable[[Tensor], Tensor] = same
    ) -> Rule | None:
        return norm_rule(name, norm, source, self.is_stored, prepare)


def _through(project: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: project(_flat(z))


def _flat(z: Tensor) -> Tensor:
    """Heads side by side, whether they came apart or not."""
    return z.flatten(2)
