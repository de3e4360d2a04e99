"""Scores of edges by their definition: inputs split by head, autograd, one edge after another."""

import torch

from vitreous.models import Graph, layer_of


def written(cache, name):
    """What a source writes."""
    if name == "input":
        return cache["blocks.0.hook_resid_pre"]
    layer = layer_of(name)
    if name.startswith("m"):
        return cache[f"blocks.{layer}.hook_mlp_out"]
    return cache[f"blocks.{layer}.attn.hook_result"][:, :, int(name.partition(".h")[2])]


def gradients(model, cache, name):
    """The gradient at what a destination reads, from a run with gradients at split inputs."""
    if name == "logits":
        return cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post_grad"]
    layer = layer_of(name)
    if name.startswith("a"):
        head, letter = name.partition(".h")[2][:-1].split("<")
        return cache[f"blocks.{layer}.hook_{letter}_input_grad"][:, :, int(head)]
    if not model.cfg.parallel:
        return cache[f"blocks.{layer}.hook_mlp_in_grad"]
    block = model.blocks[layer]
    stream = cache[f"blocks.{layer}.hook_resid_pre"].detach().requires_grad_()
    out = block.mlp(stream if block.ln1 is None else block.ln1(stream))
    return torch.autograd.grad(out, stream, cache[f"blocks.{layer}.hook_resid_post_grad"])[0]


def split_run(model, images, target, **more):
    """A run that keeps what is written, and the gradients at inputs split by head."""
    kinds = ["hook_resid_pre", "hook_resid_post", "attn.hook_result"]
    kinds += [f"hook_{letter}_input" for letter in "qkv"]
    kinds += ["hook_mlp_out"] * (not model.cfg.attn_only)
    kinds += ["hook_mlp_in"] * (not model.cfg.attn_only and not model.cfg.parallel)
    names = [f"blocks.{layer}.{kind}" for layer in range(model.cfg.n_layers) for kind in kinds]
    return model.run_with_cache(images, names_filter=names, incl_bwd=target, **more)[1]


def edge_products(model, difference, run):
    """Of every edge, image and token: what it carries times the gradient where it is read."""
    graph = Graph.of(model)
    rows = []
    for source in graph.sources:
        carried = difference[source]
        row = [(carried * gradients(model, run, to)).sum(-1) for to in graph.destinations]
        rows.append(torch.stack(row))
    return torch.stack(rows) * graph.possible[0, :, :, None, None]


def differences(model, clean, corrupt):
    """What each source writes in the clean run, less what it writes in the corrupt one."""
    one, other = (model.run_with_cache(x)[1] for x in (clean, corrupt))
    return {name: written(one, name) - written(other, name) for name in Graph.of(model).sources}
