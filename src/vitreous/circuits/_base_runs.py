"""The two runs of some pairs, and how what each part of the model wrote differs between them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vitreous._errors import HookError
from vitreous.circuits._stream_gradients import StreamGradients, in_order, points
from vitreous.models import (
    GlassTransformer,
    GraphShape,
    Target,
    TransformerCache,
    frozen,
    require_finite,
)
from vitreous.models._positions import Layout

# Edited at one of these, a part no longer reads the stream that the others wrote.
_MUST_STAY = (
    "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_attn_in",
    "hook_q_input", "hook_k_input", "hook_v_input", "hook_mlp_in", "attn.hook_result",
    "attn.hook_q", "attn.hook_k", "attn.hook_v", "ln1.hook_scale", "ln1.hook_normalized",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What one part of the model wrote, clean minus corrupt.

    Attributes:
        where: The part among the sources of a graph.
        layer: Its block; -1 for the input.
        difference: In the stream, or, of the heads of a block, in front of their output weight.
        is_heads: Which of the two it is.
    """

    where: slice
    layer: int
    difference: Float[Tensor, "batch tokens *heads width"]
    is_heads: bool = False


@dataclass(frozen=True)
class BaseRuns:
    """What gradients are multiplied with, and where they are taken.

    Attributes:
        model: Whose runs they are.
        target: What is measured.
        layout: Where the tokens of the clean run are.
        streams: Of the clean run: what enters each block, and what leaves the last.
        parts: The sources, in forward order.
        clean_value: The target of each clean image.
        corrupt_value: The target of each corrupt one.
        gradients: Of the clean run, where they were asked for.
    """

    model: GlassTransformer
    target: Target
    layout: Layout
    streams: list[Float[Tensor, "batch tokens d_model"]]
    parts: list[Part]
    clean_value: Float[Tensor, " batch"]
    corrupt_value: Float[Tensor, " batch"]
    gradients: StreamGradients | None = None

    @classmethod
    @torch.no_grad()
    def of(
        cls, target: Target, clean: Tensor, corrupt: Tensor, *, differentiated: bool = False
    ) -> "BaseRuns":
        """Runs both halves once, under all active hooks."""
        model = target.model
        written = _names(model)
        streams = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
        streams.append(f"blocks.{model.cfg.n_layers - 1}.hook_resid_post")
        kept = [*written, *streams, *(points(model) if differentiated else ())]
        with frozen(model):
            metric = target if differentiated else False
            logits, cache = model.run_with_cache(clean, names_filter=kept, incl_bwd=metric)
        _require_untouched(cache, model.cfg.n_layers)
        at_clean = in_order(model, cache) if differentiated else None
        entered, ours = [cache[name] for name in streams], {name: cache[name] for name in written}
        del cache  # and with it, before the next run, what only the backward pass needed
        other_logits, other = model.run_with_cache(corrupt, names_filter=written)
        differences = {name: ours.pop(name) - other[name] for name in written}
        return cls(
            model,
            target,
            model.layout_for(clean),
            entered,
            list(_parts(GraphShape.of(model), differences)),
            require_finite(target(logits.detach()), target.name),
            require_finite(target(other_logits), target.name),
            at_clean,
        )

    @property
    def at_clean(self) -> StreamGradients:
        """The gradients of the clean run."""
        assert self.gradients is not None
        return self.gradients

    def written(
        self, parts: Iterable[Part], rows: Int[Tensor, " positions"]
    ) -> Float[Tensor, "sources positions d_model"]:
        """The differences of some parts in the stream, head by head, at some tokens.

        Args:
            parts: Which, in forward order.
            rows: Tokens of all images, one image after the other.
        """
        chosen = list(parts)
        first, last = chosen[0].where.start, chosen[-1].where.stop
        like = self.streams[0]
        dtype = torch.promote_types(like.dtype, torch.float32)
        out = like.new_empty((last - first, len(rows), like.shape[-1]), dtype=dtype)
        for part in chosen:
            own = part.difference.flatten(0, 1)[rows].to(dtype)
            place = slice(part.where.start - first, part.where.stop - first)
            if part.is_heads:
                weight = self.model.blocks[part.layer].attn.W_O.to(dtype)
                torch.bmm(own.transpose(0, 1), weight, out=out[place])
            else:
                out[place] = own
        return out

    def added(self, part: Part) -> Float[Tensor, "batch tokens d_model"]:
        """The difference of a part in the stream, all of its heads together."""
        if not part.is_heads:
            return part.difference
        weight = self.model.blocks[part.layer].attn.W_O
        return torch.einsum("bthd,hdm->btm", part.difference, weight)


def _names(model: GlassTransformer) -> list[str]:
    """The points at which the sources are read, in forward order."""
    names = ["blocks.0.hook_resid_pre"]
    for layer in range(model.cfg.n_layers):
        names.append(f"blocks.{layer}.attn.hook_z")
        if not model.cfg.attn_only:
            names.append(f"blocks.{layer}.hook_mlp_out")
    return names


def _parts(shape: GraphShape, differences: dict[str, Tensor]) -> Iterable[Part]:
    yield Part(slice(0, 1), -1, differences["blocks.0.hook_resid_pre"])
    for layer in range(shape.n_layers):
        heads = shape.source_of(layer)
        yield Part(heads, layer, differences[f"blocks.{layer}.attn.hook_z"], is_heads=True)
        if shape.has_mlps:
            mlp = slice(heads.stop, heads.stop + 1)
            yield Part(mlp, layer, differences[f"blocks.{layer}.hook_mlp_out"])


def _require_untouched(cache: TransformerCache, n_layers: int) -> None:
    names = {f"blocks.{layer}.{name}" for layer in range(n_layers) for name in _MUST_STAY}
    touched = sorted(names & cache.edited)
    if touched:
        raise HookError(
            f"Gradients of edges need parts that read the sum of what others wrote; a hook "
            f"replaced `{touched[0]}` in this run. Run without that hook, or use method 'exact'."
        )
