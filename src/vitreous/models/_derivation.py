"""How a value that wasn't stored follows from the points just upstream of it.

One rule per hook point, each a single step of the forward pass and written with the model's own
methods. Since a rule never skips a point, what it reads is the value that was there in the run,
whether stored, edited or derived in turn: nothing derives past an edit.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitreous._errors import HookError
from vitreous.hooks import Read
from vitreous.models._layout import TokenLayout
from vitreous.models._map_pooling import MapPooling
from vitreous.models._mlp import MLP
from vitreous.models._norms import Norm

if TYPE_CHECKING:
    from vitreous.models._block import Block
    from vitreous.models._vit import HookedViT

IsStored = Callable[[str], bool]
Rule = tuple[Sequence[str], Callable[..., Tensor]]

_MAP, _POOLED, _TOKENS = "pooling.map.", "pooling.map.hook_pooled", "the tokens"
_PATCHES = "embedding.hook_patches"

# From these every default name of a block follows by cheap steps (about 40 % of the bytes).
_BASIS = (
    "hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z",
    "hook_attn_out", "mlp.hook_pre", "mlp.hook_pre_linear", "hook_mlp_out",
)  # fmt: skip


class ViTDerivation:
    """The rules of one model, for a run on images of one size in which hooks edited some points."""

    def __init__(
        self, model: "HookedViT", layout: TokenLayout, edited: Collection[str] = ()
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
            return _BlockRules(self, int(layer), is_stored).rule(local)
        return self._outer_rule(name, is_stored)

    def _outer_rule(self, name: str, is_stored: IsStored) -> Rule | None:
        model = self.model
        if name.startswith("embedding.patch_norm."):
            return _norm_rule(name, model.embedding.patch_norm, _PATCHES, is_stored)
        if name == "hook_pos_embed":
            return ("hook_embed",), self._positions
        if name == "hook_full_embed":
            return _sum_of("hook_embed", *(["hook_pos_embed"] if model.cfg.position else []))
        if name.startswith("ln_pre."):
            return _norm_rule(name, model.ln_pre, "hook_full_embed", is_stored)
        if name == "hook_ln_pre":
            return ("ln_pre.hook_normalized",), _same
        return self._readout_rule(name, is_stored)

    def _readout_rule(self, name: str, is_stored: IsStored) -> Rule | None:
        model = self.model
        last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
        first = model.cfg.pooling.normalizes_tokens
        pool = model.pooling.map
        if name.startswith("pooling.map.") and pool is not None:
            local = name.removeprefix("pooling.map.")
            return _pooling_rule(pool, local, "hook_ln_final" if first else last, is_stored)
        pooled, prepare = (last, self._pooled) if pool is None else (_POOLED, _same)
        source, prepare = (last, _same) if first else (pooled, prepare)
        if name.startswith("ln_final."):
            return _norm_rule(name, model.ln_final, source, is_stored, prepare)
        if name == "hook_ln_final":
            if model.ln_final is None:
                return (source,), prepare
            return ("ln_final.hook_normalized",), _same
        if name == "hook_post_head_pre_normalize":
            if first and pool is not None:
                return (_POOLED,), lambda x: model.head([x[:, 0]])
            return ("hook_ln_final",), self._logits
        return None

    def _positions(self, embed: Tensor) -> Tensor:
        positions = self.model.embedding.positions(self.layout.grid[1:])
        assert positions is not None
        return positions.clone().expand(len(embed), -1, -1)

    def _pooled(self, resid: Tensor) -> Tensor:
        return torch.stack(self.model.pooling(resid, self.layout), 1)

    def _logits(self, normalized: Tensor) -> Tensor:
        model = self.model
        if model.cfg.pooling.normalizes_tokens:
            return model.head(model.pooling(normalized, self.layout))
        return model.head(list(normalized.unbind(1)))


class _BlockRules:
    """The rules of one block."""

    def __init__(self, run: ViTDerivation, layer: int, is_stored: IsStored) -> None:
        self.model, self.layer, self.edited = run.model, layer, run.edited
        self.block: Block = self.model.blocks[layer]
        self._is_stored = is_stored

    def rule(self, local: str) -> Rule | None:
        found = self._stream_rule(local) or self._attention_rule(local) or self._mlp_rule(local)
        if found is None:
            return None
        sources, step = found
        return [self._full(source) for source in sources], step

    def _stream_rule(self, local: str) -> Rule | None:
        block = self.block
        if block.mlp is None:
            added = ["hook_resid_pre", "hook_attn_out"]
        elif block.parallel:
            added = ["hook_resid_pre", "hook_attn_out", "hook_mlp_out"]
        else:
            added = ["hook_resid_mid", "hook_mlp_out"]
        rules: dict[str, Rule] = {
            "hook_resid_pre": ([self._entering()], _same),
            "hook_resid_post": _sum_of(*added),
            "hook_attn_in": (["hook_resid_pre"], block.spread),
        }
        rules |= {f"hook_{letter}_input": (["hook_attn_in"], _same) for letter in "qkv"}
        if block.mlp is not None and not block.parallel:
            rules["hook_resid_mid"] = _sum_of("hook_resid_pre", "hook_attn_out")
            rules["hook_mlp_in"] = (["hook_resid_mid"], _same)
        return rules.get(local)

    def _attention_rule(self, local: str) -> Rule | None:
        attn = self.block.attn
        if local.startswith("ln1."):
            return self._norm_rule(local, self.block.ln1, "hook_resid_pre")
        if local in ("attn.hook_q", "attn.hook_k", "attn.hook_v"):
            return self._projection_rule(local[-1])
        for letter, norm in (("q", attn.q_norm), ("k", attn.k_norm)):
            if local.startswith(f"attn.{letter}_norm."):
                return self._norm_rule(local, norm, f"attn.hook_{letter}")
        qk_end = "hook_{}" if attn.q_norm is None else "{}_norm.hook_normalized"
        rules: dict[str, Rule] = {}
        if attn.rotary is not None:
            for letter in "qk":
                rules[f"attn.hook_rot_{letter}"] = (["attn." + qk_end.format(letter)], attn.turn)
            qk_end = "hook_rot_{}"
        rules |= {
            "attn.hook_attn_scores": (["attn." + qk_end.format(x) for x in "qk"], attn.scores),
            "attn.hook_pattern": (["attn.hook_attn_scores"], attn.softmax),
            "attn.hook_z": (["attn.hook_pattern", "attn.hook_v"], attn.mix),
            "attn.hook_result": (["attn.hook_z"], attn.results),
        }
        return rules.get(local) or self._attention_output_rule(local)

    def _attention_output_rule(self, local: str) -> Rule | None:
        attn = self.block.attn
        if local.startswith("attn.z_norm."):
            return self._norm_rule(local, attn.z_norm, "attn.hook_z", _flat)
        z = "attn.hook_z" if attn.z_norm is None else "attn.z_norm.hook_normalized"
        if local.startswith("attn.out_norm."):
            return self._norm_rule(local, attn.out_norm, z, lambda z: attn.project_out(_flat(z)))
        if local != "hook_attn_out":
            return None
        if self._is_stored(self._full("attn.hook_result")):
            return ["attn.hook_result", "attn.hook_z"], attn.sum_results
        if attn.out_norm is not None:
            return ["attn.out_norm.hook_normalized"], _same
        return [z], lambda z: attn.project_out(_flat(z))

    def _projection_rule(self, letter: str) -> Rule:
        """Queries, keys or values: from an input of their own where one was stored.

        Unless the shared norm was edited: heads read that then, since both can't be edited.
        """
        norm_is_edited = any(name.startswith(self._full("ln1.")) for name in self.edited)
        for own in (f"hook_{letter}_input", "hook_attn_in"):
            if self._is_stored(self._full(own)) and not norm_is_edited:
                return [f"hook_{letter}_input"], lambda x: self.block.attn.project_heads(
                    letter, self.block.normalize_own(x)
                )
        source = "hook_resid_pre" if self.block.ln1 is None else "ln1.hook_normalized"
        return [source], lambda x: self.block.attn.project_one(letter, x)

    def _mlp_rule(self, local: str) -> Rule | None:
        mlp = self.block.mlp
        if mlp is None:
            return None
        if self.block.parallel:
            read = "hook_resid_pre" if self.block.ln1 is None else "ln1.hook_normalized"
        elif local.startswith("ln2."):
            return self._norm_rule(local, self.block.ln2, "hook_mlp_in")
        else:
            read = "hook_mlp_in" if self.block.ln2 is None else "ln2.hook_normalized"
        return _mlp_rule(
            mlp, local, "mlp.", read, "hook_mlp_out", lambda name: self._is_stored(self._full(name))
        )

    def _norm_rule(
        self,
        local: str,
        norm: Norm | None,
        source: str,
        prepare: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> Rule | None:
        def is_stored(name: str) -> bool:
            return self._is_stored(self._full(name))

        return _norm_rule(local, norm, source, is_stored, prepare)

    def _entering(self) -> str:
        if self.layer:
            return f"blocks.{self.layer - 1}.hook_resid_post"
        return "hook_full_embed" if self.model.ln_pre is None else "hook_ln_pre"

    def _full(self, local: str) -> str:
        # Only the stream that enters the first block comes from outside of the blocks.
        outside = local.startswith("blocks.") or local in ("hook_full_embed", "hook_ln_pre")
        return local if outside else f"blocks.{self.layer}.{local}"


def _mlp_rule(
    mlp: MLP, name: str, prefix: str, read: str, out: str, is_stored: IsStored
) -> Rule | None:
    """The rules of an MLP, in a block or behind a pooling: what it reads, and what it adds."""
    pre, linear, mid, post = (
        f"{prefix}hook_{each}" for each in ("pre", "pre_linear", "mid", "post")
    )
    activated: Rule = ([pre], mlp.activation)
    if mlp.fc_linear is not None:
        activated = ([pre, linear], mlp.gated)
    if name.startswith(f"{prefix}in_norm."):
        return _norm_rule(name, mlp.in_norm, read, is_stored)
    read = read if mlp.in_norm is None else f"{prefix}in_norm.hook_normalized"
    if name.startswith(f"{prefix}norm."):
        return _norm_rule(name, mlp.norm, mid, is_stored)
    if name.startswith(f"{prefix}out_norm."):
        return _norm_rule(name, mlp.out_norm, post, is_stored, mlp.project_out)
    rules: dict[str, Rule] = {pre: ([read], mlp.fc_in), post: activated}
    if mlp.fc_linear is not None:
        rules[linear] = ([read], mlp.fc_linear)
    if mlp.has_mid:
        rules[mid] = activated
        rules[post] = ([mid if mlp.norm is None else f"{prefix}norm.hook_normalized"], _same)
    if mlp.out_norm is None:
        rules[out] = ([post], mlp.project_out)
    else:
        rules[out] = ([f"{prefix}out_norm.hook_normalized"], _same)
    return rules.get(name)


def _pooling_rule(
    pool: MapPooling, local: str, source: str, is_stored: IsStored
) -> Rule | None:
    """The rules of a pooling by attention, whose tokens are those at `source`."""
    found = _local_pooling_rule(pool, local, lambda name: is_stored(_MAP + name))
    if found is None:
        return None
    names, step = found
    return [source if name == _TOKENS else _MAP + name for name in names], step


def _local_pooling_rule(pool: MapPooling, local: str, is_stored: IsStored) -> Rule | None:
    if local.startswith("k_norm."):
        return _norm_rule(local, pool.k_norm, "hook_k", is_stored)
    if pool.mlp is not None and local.startswith("norm."):
        return _norm_rule(local, pool.norm, "hook_attn_out", is_stored)
    if pool.mlp is not None and (local.startswith("mlp.") or local == "hook_mlp_out"):
        read = "hook_attn_out" if pool.norm is None else "norm.hook_normalized"
        return _mlp_rule(pool.mlp, local, "mlp.", read, "hook_mlp_out", is_stored)
    if local.startswith("out_norm."):
        return _norm_rule(local, pool.out_norm, "hook_attn_out", is_stored)
    keys = "hook_k" if pool.k_norm is None else "k_norm.hook_normalized"
    rules: dict[str, Rule] = {
        "hook_q": ([_TOKENS], pool.queries),
        "hook_k": ([_TOKENS], pool.keys),
        "hook_v": ([_TOKENS], pool.values),
        "hook_attn_scores": (["hook_q", keys], pool.scores),
        "hook_pattern": (["hook_attn_scores"], lambda scores: scores.softmax(-1)),
        "hook_z": (["hook_pattern", "hook_v"], pool.mix),
        "hook_attn_out": (["hook_z"], pool.write),
        "hook_pooled": _sum_of("hook_attn_out", *(["hook_mlp_out"] if pool.mlp else [])),
    }
    if pool.out_norm is not None:
        rules["hook_pooled"] = (["out_norm.hook_normalized"], _same)
    return rules.get(local)


def _norm_rule(
    name: str,
    norm: Norm | None,
    source: str,
    is_stored: IsStored,
    prepare: Callable[[Tensor], Tensor] = lambda x: x,
) -> Rule | None:
    """The scale of a norm, and its result: at the scale of the run where that was stored."""
    if norm is None:
        return None
    if name.endswith("hook_scale"):
        return [source], lambda x: norm.scale(prepare(x))
    scale = name.replace("hook_normalized", "hook_scale")
    if is_stored(scale):
        return [source, scale], lambda x, at: norm.divide(prepare(x), at)
    return [source], lambda x: norm.fused(prepare(x))


def _sum_of(*names: str) -> Rule:
    return list(names), lambda first, *rest: sum(rest, first)


def _autocast_on(device: str) -> torch.dtype | None:
    """What autocast makes of products on this kind of device; None where it is off."""
    is_on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if is_on else None


def _same(x: Tensor) -> Tensor:
    return x


def _flat(z: Tensor) -> Tensor:
    """Heads side by side, whether they came apart or not."""
    return z.flatten(2)


def weight_versions(module: nn.Module) -> list[tuple[int, int]]:
    """Changes whenever a parameter is replaced or written to (other than through `.data`)."""
    return [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters()]
