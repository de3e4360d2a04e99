"""What goes from one component to another without passing through the heads between them."""

from collections.abc import Sequence
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from vitreous.data import Images
from vitreous.hooks import HookFunction, HookPoint
from vitreous.models import GlassTransformer, GraphShape, Pairs, Target, layer_of, within_memory
from vitreous.patching._components import (
    Place,
    head_of,
    layer_written,
    leads,
    receivers_named,
    senders_named,
    shape_of,
)
from vitreous.patching._runs import (
    Direction,
    Run,
    effects,
    require_one_of,
    rows_of,
    sides,
    stacked,
    tiled,
)

Hooks = list[tuple[str, HookFunction]]
Senders = tuple[str, ...]
_FREEZABLE = ("heads", "mlps")


def path_patching(
    model: GlassTransformer,
    clean: Tensor | Images,
    corrupt: Tensor | Images,
    target: Target | Any,
    *,
    senders: str | Sequence[str],
    receivers: str | Sequence[str],
    freeze: str | Sequence[str] = ("heads",),
    direction: Direction = "denoise",
    max_batch: int = 64,
) -> xarray.Dataset:
    """Changes what receivers read from senders, over paths that meet no other head.

    Four passes. A runs the images that values come from and keeps what the senders write. B runs
    the baseline and keeps what all heads write. C runs the baseline with the senders as in A and
    all other heads as in B, and keeps what the receivers then read: MLPs between the two are
    live and pass the change on, unless they are frozen too. D runs the baseline with the
    receivers reading that, and everything behind them live.

    A head is frozen at its `z`: the same as freezing its queries, keys and values. A receiver
    that comes behind another one reads what C says, whatever the other one does in D; paths
    from receiver to receiver are cut. An edge alone, past MLPs too, is `patch_edges`.

    Args:
        model: Any glass transformer.
        clean: Preprocessed images, or `vt.data.Images`.
        corrupt: The other halves of the pairs; one stands for all.
        target: From `model.target(...)`, or what that takes.
        senders: A head (`"L0H3"` or `"a0.h3"`), an MLP (`"L0M"` or `"m0"`), `"input"` (the stream
            that enters the first block), or several of them, which change together; or `"heads"`
            or `"mlps"` for each one by itself.
        receivers: `"L2H1<q>"` (or `"a2.h1<q>"`; k and v likewise, a head alone means all three),
            an MLP, or several of them, which change together; or `"logits"`, the readout.
        freeze: What lies between and stays as in the baseline: `"heads"`, `"mlps"`, both, or
            nothing `()`, with which this is activation patching of what the receivers read.
        direction: `"denoise"` puts clean values into the corrupt run, `"noise"` the reverse.
        max_batch: The most images that run at once; several senders, each by itself, share a
            batch.

    Returns:
        As of a sweep: `effect[pair]` = target(patched) - target(baseline), in units of the output,
        `normalized[pair]`, `clean[pair]` and `corrupt[pair]`; with a dimension `layer`, and `head`,
        where each head or MLP is a sender by itself. There, those that no receiver comes behind
        have effect zero.

    Raises:
        UnknownNameError: A sender or receiver that this model doesn't have.
        ValueError: A receiver that comes before every sender, or a sender behind every receiver;
            `"logits"` beside other receivers, which it would hide; pairs that can't be compared.
        MemoryError: `max_batch` images don't fit into memory.

    References:
        Wang et al., "Interpretability in the Wild", 2022, appendix B, and Goldowsky-Dill et al.,
        "Localizing Model Behavior with Path Patching", 2023, section 3. Departs from them: queries,
        keys and values of a receiver are kept as they leave their weights, and an MLP as what it
        writes, which comes to the same as keeping what each reads; the senders' passes C and D
        share a batch and start at the first block that changes.
    """
    shape = shape_of(model)
    read = receivers_named(shape, [receivers] if isinstance(receivers, str) else receivers)
    groups, dims = _groups(shape, senders)
    _require_paths(shape, groups, read)
    frozen = [freeze] if isinstance(freeze, str) else list(freeze)
    for what in frozen:
        require_one_of("freeze", what, _FREEZABLE)
    base = sides(direction)[0]
    pairs = Pairs.of(model, clean, corrupt, target, max_batch=max_batch)
    parts = []
    for batch in pairs.batches(max_batch):
        values = getattr(batch, f"{base}_value").repeat(len(groups), 1)
        live = [i for i, group in enumerate(groups) if _has_path(shape, group, read)]
        paths = _Paths(batch, direction, read, frozen, [groups[i] for i in live])
        values[live] = paths.patched(max_batch)
        parts.append(values - getattr(batch, f"{base}_value"))
    effect = torch.cat(parts, 1).T.unflatten(1, tuple(dims.values()) or (1,))
    about = {"senders": str(senders), "receivers": ", ".join(read), "frozen": ", ".join(frozen)}
    coords = {dim: range(size) for dim, size in dims.items()}
    effect = effect if dims else effect.squeeze(1)
    return effects(pairs, direction, effect, list(dims), coords, **about)


class _Paths:
    """The four passes, on some pairs."""

    def __init__(
        self,
        batch: Pairs,
        direction: str,
        receivers: Sequence[str],
        frozen: Sequence[str],
        groups: Sequence[Senders],
    ) -> None:
        self.batch, self.model, self.receivers, self.groups = batch, batch.model, receivers, groups
        self.frozen = _frozen_points(batch.model, frozen)
        base, source = sides(direction)
        written = {_writes(sender)[0] for group in groups for sender in group}
        with within_memory(len(batch)):
            self.source = Run(batch.model, getattr(batch, source), written)  # pass A
            self.base = Run(batch.model, getattr(batch, base), self.frozen)  # pass B

    def patched(self, max_batch: int) -> Float[Tensor, "groups batch"]:
        """The target of each group of senders."""
        values = []
        for groups, rows in stacked(self.groups, self.batch, max_batch):
            with within_memory(rows):
                values += self._at_once(groups)
        return torch.stack(values)

    def _at_once(self, groups: Sequence[Senders]) -> list[Float[Tensor, " batch"]]:
        first = min(layer_written(sender) for group in groups for sender in group)
        kept, output = self._pass_c(groups, first)
        if self.receivers != ("logits",):
            hooks = [(point, _set_heads(values)) for point, values in kept.items()]
            start = min(int(point.split(".")[1]) for point in kept)
            with self.model.hooks(hooks):
                output = self.base.again(start, len(groups))  # pass D
        return [self.batch.target(part) for part in output.split(len(self.batch))]

    def _pass_c(
        self, groups: Sequence[Senders], first: int
    ) -> tuple[dict[str, dict[int | None, Tensor]], Tensor]:
        """What each receiver reads, by point and head; and how the pass ends."""
        reading = [name for name in self.receivers if name != "logits"]
        last = self.model.cfg.n_layers - 1 if not reading else max(map(layer_of, reading))
        kept: dict[str, dict[int | None, Tensor]] = {}
        hooks = [_keep(kept, *_reads(name)) for name in reading if first <= layer_of(name) <= last]
        stop = {"stop_at_layer": last + 1} if reading else {}
        with self.model.hooks([*hooks, *self._change(groups, first, last)]):
            return kept, self.base.again(first, len(groups), **stop)

    def _change(self, groups: Sequence[Senders], first: int, last: int) -> Hooks:
        """Frozen points as in the baseline, but for the senders of each part of the batch."""
        by_point: dict[str, list[tuple[slice, int | None]]] = {}
        for point, layer in self.frozen.items():
            if first <= layer <= last:
                by_point[point] = []
        for place, group in enumerate(groups):
            for sender in group:
                if layer_of(sender) <= last:
                    point, head = _writes(sender)
                    rows = rows_of(place, len(self.batch))
                    by_point.setdefault(point, []).append((rows, head))
        return [(point, self._as_asked(changes)) for point, changes in by_point.items()]

    def _as_asked(self, changes: Sequence[tuple[slice, int | None]]) -> HookFunction:
        def edit(value: Tensor, hook: HookPoint) -> Tensor:
            if hook.name in self.frozen:
                value = tiled(self.base[hook.name], len(value) // len(self.batch)).clone()
            for rows, head in changes:
                _at(value, head)[rows] = _at(self.source[hook.name], head)
            return value

        return edit


# ---- who


def _groups(
    shape: GraphShape, senders: str | Sequence[str]
) -> tuple[list[Senders], dict[str, int]]:
    """The senders that change together, and the dimensions along which those groups lie."""
    if senders == "heads":
        heads = [(name,) for name in shape.sources if name.startswith("a")]
        return heads, {"layer": shape.n_layers, "head": shape.n_heads}
    if senders == "mlps":
        return [(name,) for name in shape.sources if name.startswith("m")], {
            "layer": shape.n_layers
        }
    return [senders_named(shape, [senders] if isinstance(senders, str) else senders)], {}


def _has_path(shape: GraphShape, group: Senders, receivers: Sequence[str]) -> bool:
    return any(leads(shape, sender, name) for sender in group for name in receivers)


def _require_paths(shape: GraphShape, groups: Sequence[Senders], receivers: Sequence[str]) -> None:
    senders = [sender for group in groups for sender in group]
    if not senders or not receivers:
        what = "receivers" if senders else "senders"
        raise ValueError(f"`{what}` must name a component; got none. Name a head or an MLP.")
    if "logits" in receivers and len(receivers) > 1:
        others = ", ".join(name for name in receivers if name != "logits")
        raise ValueError(
            f"'logits' must be the only receiver, since it reads what the others do; got {others} "
            "beside it. Ask for each in a call of its own."
        )
    for name in receivers:
        if not any(leads(shape, sender, name) for sender in senders):
            raise ValueError(
                f"A receiver must come behind a sender; got {name!r}, which reads before "
                f"{senders[0]!r} writes. Name one further on."
            )
    for sender in senders if len(groups) == 1 else ():
        if not _has_path(shape, (sender,), receivers):
            raise ValueError(
                f"A sender must come before a receiver; got {sender!r}, which writes after "
                f"{receivers[-1]!r} reads. Leave it out."
            )


# ---- where


def _writes(sender: str) -> Place:
    if sender == "input":
        return "blocks.0.hook_resid_pre", None
    head, block = head_of(sender), f"blocks.{layer_of(sender)}."
    return (block + "hook_mlp_out", None) if head is None else (block + "attn.hook_z", head)


def _reads(receiver: str) -> Place:
    head, block = head_of(receiver), f"blocks.{layer_of(receiver)}."
    if head is None:
        return block + "hook_mlp_out", None
    return f"{block}attn.hook_{receiver[-2]}", head


def _frozen_points(model: GlassTransformer, frozen: Sequence[str]) -> dict[str, int]:
    """What stays as in the baseline, with the block that it stands in."""
    points = {}
    for layer, block in enumerate(model.blocks):
        if "heads" in frozen:
            points |= {f"blocks.{layer}.{each.attn}.hook_z": layer for each in block.attentions}
        if "mlps" in frozen and block.mlp is not None:
            points[f"blocks.{layer}.hook_mlp_out"] = layer
    return points


def _at(values: Tensor, head: int | None) -> Tensor:
    return values if head is None else values[:, :, head]


def _keep(
    kept: dict[str, dict[int | None, Tensor]], point: str, head: int | None
) -> tuple[str, HookFunction]:
    def keep(value: Tensor, hook: HookPoint) -> None:
        kept.setdefault(hook.name, {})[head] = _at(value, head)

    return point, keep


def _set_heads(values: dict[int | None, Tensor]) -> HookFunction:
    def put(value: Tensor, hook: HookPoint) -> Tensor:
        del hook
        for head, own in values.items():
            _at(value, head).copy_(own)
        return value

    return put
