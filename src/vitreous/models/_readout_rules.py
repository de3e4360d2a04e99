"""How the values behind the last block follow from one another."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vitreous.models._map_pooling import MapPooling
from vitreous.models._positions import Layout
from vitreous.models._rules import IsStored, Rule, mlp_rule, norm_rule, same, sum_of

if TYPE_CHECKING:
    from vitreous.models._transformer import GlassTransformer

_MAP, _POOLED, _TOKENS = "pooling.map.", "pooling.map.hook_pooled", "the tokens"


class ReadoutRules:
    """The rules of final norm, pooling and head, for tokens that lie as `layout` says."""

    def __init__(self, model: "GlassTransformer", layout: Layout, is_stored: IsStored) -> None:
        self.model, self.layout, self.is_stored = model, layout, is_stored
        self.pool = model.pooling.map
        self.last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
        self.norm_first = model.cfg.pooling.normalizes_tokens

    def rule(self, name: str) -> Rule | None:
        if name.startswith(_MAP) and self.pool is not None:
            tokens = "hook_ln_final" if self.norm_first else self.last
            return _full(map_rule(self.pool, name.removeprefix(_MAP), self._in_map), tokens)
        source, prepare = self.last, same
        if not self.norm_first:
            source, prepare = (self.last, self._pooled) if self.pool is None else (_POOLED, same)
        if name.startswith("ln_final."):
            return norm_rule(name, self.model.ln_final, source, self.is_stored, prepare)
        if name == "hook_ln_final":
            has_norm = self.model.ln_final is not None
            return (["ln_final.hook_normalized"], same) if has_norm else ([source], prepare)
        if name == "hook_post_head_pre_normalize":
            pools_behind = self.norm_first and self.pool is not None
            return [_POOLED if pools_behind else "hook_ln_final"], self._logits
        return None

    def _in_map(self, name: str) -> bool:
        return self.is_stored(_MAP + name)

    def _pooled(self, resid: Tensor) -> Tensor:
        return torch.stack(self.model.pooling(resid, self.layout), 1)

    def _logits(self, x: Tensor) -> Tensor:
        """Of normalized tokens, or of what they were pooled to."""
        model = self.model
        if self.norm_first and self.pool is None:
            return model.head(model.pooling(x, self.layout))
        return model.head(list(x.unbind(1)))


def map_rule(pool: MapPooling, name: str, is_stored: IsStored) -> Rule | None:
    """A point of a pooling by attention, by its name in there."""
    if name.startswith("k_norm."):
        return norm_rule(name, pool.k_norm, "hook_k", is_stored)
    for local, norm in (("norm.", pool.norm), ("out_norm.", pool.out_norm)):
        if name.startswith(local):
            return norm_rule(name, norm, "hook_attn_out", is_stored)
    if pool.mlp is not None and (name.startswith("mlp.") or name == "hook_mlp_out"):
        read = "hook_attn_out" if pool.norm is None else "norm.hook_normalized"
        return mlp_rule(pool.mlp, name, read, is_stored)
    keys = "hook_k" if pool.k_norm is None else "k_norm.hook_normalized"
    rules: dict[str, Rule] = {
        "hook_q": ([_TOKENS], pool.queries),
        "hook_k": ([_TOKENS], pool.keys),
        "hook_v": ([_TOKENS], pool.values),
        "hook_attn_scores": (["hook_q", keys], pool.scores),
        "hook_pattern": (["hook_attn_scores"], pool.softmax),
        "hook_z": (["hook_pattern", "hook_v"], pool.mix),
        "hook_attn_out": (["hook_z"], pool.write),
        "hook_pooled": sum_of("hook_attn_out", *(["hook_mlp_out"] if pool.mlp else [])),
    }
    if pool.out_norm is not None:
        rules["hook_pooled"] = (["out_norm.hook_normalized"], same)
    return rules.get(name)


def _full(rule: Rule | None, tokens: str) -> Rule | None:
    """A rule of the pooling by the names of the whole model."""
    if rule is None:
        return None
    names, step = rule
    return [tokens if name == _TOKENS else _MAP + name for name in names], step
