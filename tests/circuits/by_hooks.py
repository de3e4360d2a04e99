"""A run with some edges removed, written slowly: one hooked pass of the whole model."""

from typing import Any

import torch
from torch import Tensor

from vitreous.models import GlassTransformer, Graph, Pairs, TokenGroups


def what_sources_write(model: GlassTransformer, images: Tensor) -> dict[str, Tensor]:
    """By the names of the graph."""
    _, cache = model.run_with_cache(images, names_filter=_source_points(model))
    return {
        name: value
        for point in _source_points(model)
        for name, value in _named(model, point, cache[point]).items()
    }


def run_without(
    pairs: Pairs,
    graph: Graph,
    keep: Tensor,
    groups: TokenGroups | None = None,
    stands_in: dict[str, Tensor] | None = None,
) -> Tensor:
    """Logits `[pairs, labels]` of one `keep` `[groups, sources, destinations]`."""
    model = pairs.model
    with torch.no_grad():
        other = stands_in or what_sources_write(model, pairs.corrupt)
    live: dict[str, Tensor] = {}
    n_tokens = pairs.model.layout_for(pairs.clean).n_tokens
    members = torch.ones(1, 1, n_tokens) if groups is None else groups.members
    members = members.to(pairs.clean)

    def removed_for(destination: str) -> Tensor:
        column = graph.destinations.index(destination)
        total = torch.zeros(())
        for name, written in live.items():
            row = graph.sources.index(name)
            if not graph.possible[:, row, column].any():
                continue
            lacks = (1 - keep[:, row, column].to(written)) * graph.possible[:, row, column]
            at_tokens = torch.einsum("g,bgt->bt", lacks, members)
            total = total + at_tokens[..., None] * (other[name] - written)
        return total

    def watch(value: Tensor, hook: Any) -> None:
        live.update(_named(model, hook.name, value))

    hooks: list[tuple[str, Any]] = [(point, watch) for point in _source_points(model)]
    for layer, block in enumerate(model.blocks):
        for letter in "qkv":
            heads = [f"a{layer}.h{head}<{letter}>" for head in range(model.cfg.n_heads)]

            def read(value: Tensor, hook: Any, heads: list[str] = heads) -> Tensor:
                own = [value[:, :, i] + removed_for(name) for i, name in enumerate(heads)]
                return torch.stack(own, 2)

            hooks.append((f"blocks.{layer}.hook_{letter}_input", read))
        if block.mlp is not None and not block.parallel:
            hooks.append(
                (f"blocks.{layer}.hook_mlp_in", lambda x, hook, m=f"m{layer}": x + removed_for(m))
            )
        elif block.mlp is not None:
            hooks += _beside_attention(block, layer, removed_for)
    last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    hooks.append((last, lambda x, hook: x + removed_for("logits")))
    return model.run_with_hooks(pairs.clean, fwd_hooks=hooks)


def _beside_attention(block: Any, layer: int, removed_for: Any) -> list[tuple[str, Any]]:
    """A block whose MLP shares its norm with attention has no point for what the MLP reads."""
    seen = {}

    def keep_stream(value: Tensor, hook: Any) -> None:
        seen["stream"] = value

    def read(value: Tensor, hook: Any) -> Tensor:
        own = seen["stream"] + removed_for(f"m{layer}")
        return block.mlp.fc_in(own if block.ln1 is None else block.ln1.fused(own))

    return [
        (f"blocks.{layer}.hook_resid_pre", keep_stream),
        (f"blocks.{layer}.mlp.hook_pre", read),
    ]


def _source_points(model: GlassTransformer) -> list[str]:
    points = ["blocks.0.hook_resid_pre"]
    for layer in range(model.cfg.n_layers):
        points.append(f"blocks.{layer}.attn.hook_result")
        points += [] if model.cfg.attn_only else [f"blocks.{layer}.hook_mlp_out"]
    return points


def _named(model: GlassTransformer, point: str, value: Tensor) -> dict[str, Tensor]:
    if point == "blocks.0.hook_resid_pre":
        return {"input": value}
    layer = point.split(".")[1]
    if point.endswith("hook_mlp_out"):
        return {f"m{layer}": value}
    return {f"a{layer}.h{head}": value[:, :, head] for head in range(model.cfg.n_heads)}
