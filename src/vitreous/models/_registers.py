"""Register tokens put into a model, and taken out of one, without training."""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vitreous._errors import UnsupportedModelError
from vitreous.hooks import in_range
from vitreous.models._config import HookedViTConfig
from vitreous.models._saving import weight_hash
from vitreous.models._vit import HookedViT

Rows = Float[Tensor, "tokens d_model"]


@torch.no_grad()
def with_registers(
    model: HookedViT,
    count: int = 1,
    init: Literal["zeros", "mean"] | Float[Tensor, "*tokens d_model"] = "zeros",
) -> HookedViT:
    """A model with more register tokens, equal in all other weights.

    New registers stand behind those that are there, have no position (and don't turn), and begin
    with the values given. Patches and class token attend to them, so the logits change: a key of
    small length still takes its part of every row of the pattern. With them hidden
    (`KnockOut("all", "registers")`, spared to themselves) the other tokens are those of the old
    model. A mean over all tokens and an attention pooling read the new ones too.

    An empty register does little by itself. `vitreous.hooks.ShiftPeak` at a model's register
    neurons moves outlying norms from patches to it.

    Args:
        model: Any with a class token, or one that isn't read at its first token.
        count: How many to add.
        init: `"zeros"`, `"mean"` (of the registers that are there), or vectors: one for all, or
            one for each.

    Returns:
        A new model, without means: those were taken over other tokens.

    Raises:
        UnsupportedModelError: Relative positions, which know no registers, or a readout that would
            read a register.
        ValueError: `count` below one, vectors of another shape, or a mean of no registers.

    References:
        Darcet, Oquab, Mairal and Bojanowski, "Vision Transformers Need Registers", 2024, section
        2.2, where registers are trained; Jiang, Dravid, Efros and Gandelsman, "Vision Transformers
        Don't Need Trained Registers", 2025, where they aren't.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"`count` must be one or more; got {count!r}. Pass a whole number.")
    if model.cfg.attention.relative_bias:
        raise UnsupportedModelError(
            "`with_registers` needs positions that registers can do without; got relative "
            "positions, which hold a number for every pair of tokens. Choose another model."
        )
    if model.cfg.pooling.kind == "first" and model.layout.n_prefix == 0:
        raise UnsupportedModelError(
            "`with_registers` needs a readout that no register takes the place of; got one that "
            "reads the first token, a patch. Choose another model."
        )
    old = model.cfg.n_registers
    order = [*range(old), *[-1] * count]
    return _changed(model, order, _rows(model, count, init), f"with_registers({count})")


@torch.no_grad()
def without_registers(model: HookedViT, which: int | Sequence[int] | None = None) -> HookedViT:
    """A model with fewer register tokens, equal in all other weights.

    A model that was trained with registers keeps things in them; without, those go elsewhere, most
    often to patches that say little (outlying norms come back), or are lost.

    Args:
        model: One with registers.
        which: Registers by number, the first is 0; None means all.

    Returns:
        A new model, without means: those were taken over other tokens.

    Raises:
        ValueError: A register that there isn't, or none at all.

    References:
        Darcet, Oquab, Mairal and Bojanowski, "Vision Transformers Need Registers", 2024.
    """
    old = model.cfg.n_registers
    if not old:
        raise ValueError(
            "`without_registers` needs a model with registers; got one without. Leave it as it is."
        )
    gone = range(old) if which is None else in_range(which, old, "which")
    order = [each for each in range(old) if each not in gone]
    empty = model.placement.new_zeros(0, model.cfg.d_model)
    return _changed(model, order, empty, f"without_registers({sorted(set(gone))})")


def _rows(model: HookedViT, count: int, init: object) -> Rows:
    """What the new registers begin with."""
    like, d_model = model.placement, model.cfg.d_model
    if isinstance(init, Tensor):
        rows = init if init.ndim == 2 else init[None]
        if init.ndim not in (1, 2) or tuple(rows.shape) not in ((1, d_model), (count, d_model)):
            raise ValueError(
                f"`init` must be {count} vectors of width {d_model}, or one for all; got shape "
                f"{list(init.shape)}. Pass [registers, d_model]."
            )
        return rows.to(like).expand(count, -1)
    if init == "zeros":
        return like.new_zeros(count, d_model)
    if init != "mean":
        raise ValueError(
            f"`init` must be 'zeros', 'mean' or vectors; got {init!r}. Pass one of them."
        )
    there = model.embedding.registers
    if there is None:
        raise ValueError(
            "init='mean' needs registers to take the mean of; got a model without. Pass vectors, "
            "or 'zeros'."
        )
    return there[0].mean(0, keepdim=True).expand(count, -1)


def _changed(model: HookedViT, order: list[int], new_rows: Rows, step: str) -> HookedViT:
    """The model with its registers in this order; -1 stands for a new one."""
    cfg = model.cfg.replace(n_registers=len(order))
    changed = model.like(cfg)
    changed.to(model.placement).train(model.training)
    state = {
        name: _reordered(name, value, model.cfg, order, new_rows)
        for name, value in model.state_dict().items()
    }
    if order and model.embedding.registers is None:
        state["embedding.registers"] = new_rows[None]
    if not order:
        del state["embedding.registers"]
    changed.load_state_dict(state)
    changed.card = copy.deepcopy(model.card)
    changed.card["processing"] = [*changed.card.get("processing", []), step]
    changed.card["weight_hash"] = weight_hash(changed)
    return changed


def _reordered(
    name: str, value: Tensor, cfg: HookedViTConfig, order: list[int], new_rows: Rows
) -> Tensor:
    """A weight with the rows of its registers in another order, and others as they were."""
    start, end = cfg.n_prefix - cfg.n_registers, cfg.n_prefix
    if name == "embedding.registers":
        kept = value[0, [each for each in order if each >= 0]]
        return torch.cat([kept, new_rows])[None]
    has_place = cfg.position is not None and cfg.position.prefix
    if name == "embedding.pos" and has_place:
        return _with_rows(value, 0, start, end, order, 0.0)
    if name.startswith("rotary."):
        return _with_rows(value, 2, start, end, order, 1.0 if name.endswith("cos") else 0.0)
    return value


def _with_rows(
    value: Tensor, dim: int, start: int, end: int, order: list[int], fill: float
) -> Tensor:
    """Rows `start..end` of a dimension in another order, with `fill` in those that are new."""
    front, registers, rest = value.tensor_split((start, end), dim)
    new = torch.full_like(value.narrow(dim, 0, 1), fill)
    there = [registers.narrow(dim, each, 1) if each >= 0 else new for each in order]
    return torch.cat([front, *there, rest], dim)
