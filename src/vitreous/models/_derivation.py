"""How a value that wasn't stored follows from the points just upstream of it.

One rule per hook point, each a single step of the forward pass and written with the model's own
methods. Since a rule never skips a point, what it reads is the value that was there in the run,
whether stored, edited or derived in turn: nothing derives past an edit.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks import Read
from vitreous.models._block_rules import BlockRules
from vitreous.models._positions import Layout
from vitreous.models._readout_rules import ReadoutRules
from vitreous.models._rules import IsStored, Rule, norm_rule, same, sum_of

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

_PATCHES = "embedding.hook_patches"

# From these every default name of a block follows by cheap steps (about 40 % of the bytes).
_BASIS = (
    "hook_resid_pre",
    *(f"{attn}.hook_{local}" for attn in ("attn_time", "attn") for local in "qkvz"),
    "hook_attn_time_out", "hook_attn_out", "mlp.hook_pre", "mlp.hook_pre_linear", "hook_mlp_out",
)  # fmt: skip


class TransformerDerivation:
    """The rules of one model, for a run on images of one size in which hooks edited some points."""

    def __init__(
        self, model: "GlassTransformer", layout: Layout, edited: Collection[str] = ()
    ) -> None:
        self.model = model
        self.layout = layout
        self.edited = edited
        self._device = model.placement.device.type
        self._autocast = _autocast_on(self._device)
        self._weights = weight_versions(model)

    @staticmethod
    def basis(names: Sequence[str]) -> list[str]:
        """Those of `names` that a run has to store so that the others follow."""
        ends = tuple(f".{local}" for local in _BASIS)
        return [
            name
            for name in names
            if name == "hook_embed"
            or name == _PATCHES
            or (name.startswith("blocks.") and name.endswith(ends))
        ]

    def has_its_weights(self) -> bool:
        """Whether the weights are still those of the run."""
        return weight_versions(self.model) == self._weights

    def check_weights(self) -> None:
        if not self.has_its_weights():
            raise HookError(
                "A value that wasn't stored must derive from the weights of the run; they have "
                "changed since. Run the model again, or name the value in `names_filter`."
            )

    def inputs(self, name: str, is_stored: IsStored) -> Sequence[str] | None:
        rule = self._rule(name, is_stored)
        return None if rule is None else rule[0]

    def compute(self, name: str, is_stored: IsStored, read: Read) -> Tensor:
        rule = self._rule(name, is_stored)
        assert rule is not None, name
        sources, step = rule
        values = [read(source) for source in sources]
        with self.in_precision_of_run():
            return step(*values)

    def in_precision_of_run(self) -> AbstractContextManager[Any]:
        """Autocast as it was when the run was made, wherever its values are read."""
        if _autocast_on(self._device) == self._autocast:
            return nullcontext()
        return torch.autocast(self._device, self._autocast, enabled=self._autocast is not None)

    def _rule(self, name: str, is_stored: IsStored) -> Rule | None:
        if name not in self.model.hook_dict:
            return None  # a gradient: no value follows from others
        if name.startswith("blocks."):
            _, layer, local = name.split(".", 2)
            return self._block_rule(int(layer), local, is_stored)
        readout = ReadoutRules(self.model, self.layout, is_stored).rule(name)
        return readout or self._embedding_rule(name, is_stored)

    def _embedding_rule(self, name: str, is_stored: IsStored) -> Rule | None:
        model = self.model
        if name.startswith("embedding.patch_norm."):
            return norm_rule(name, model.embedding.patch_norm, _PATCHES, is_stored)
        if name == "hook_pos_embed":
            return ["hook_embed"], self._positions
        if name == "hook_full_embed":
            return sum_of("hook_embed", *(["hook_pos_embed"] if model.cfg.position else []))
        if name.startswith("ln_pre."):
            return norm_rule(name, model.ln_pre, "hook_full_embed", is_stored)
        return (["ln_pre.hook_normalized"], same) if name == "hook_ln_pre" else None

    def _block_rule(self, layer: int, name: str, is_stored: IsStored) -> Rule | None:
        if name == "hook_resid_pre":
            return [self._entering(layer)], same
        prefix = f"blocks.{layer}."
        rule = BlockRules(
            self.model.blocks[layer],
            lambda local: is_stored(prefix + local),
            [each.removeprefix(prefix) for each in self.edited if each.startswith(prefix)],
            self.layout.hidden,
        ).rule(name)
        return None if rule is None else ([prefix + source for source in rule[0]], rule[1])

    def _entering(self, layer: int) -> str:
        if layer:
            return f"blocks.{layer - 1}.hook_resid_post"
        return "hook_full_embed" if self.model.ln_pre is None else "hook_ln_pre"

    def _positions(self, embed: Tensor) -> Tensor:
        positions = self.model.embedding.positions(self.layout)
        assert positions is not None
        return positions.clone().expand(len(embed), -1, -1)


def _autocast_on(device: str) -> torch.dtype | None:
    """What autocast makes of products on this kind of device; None where it is off."""
    is_on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if is_on else None


def weight_versions(module: nn.Module) -> list[tuple[int, int]]:
    """Changes whenever a weight is replaced or written to (other than through `.data`)."""
    weights = (*module.parameters(), *module.buffers())
    return [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights]
