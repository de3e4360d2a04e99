"""Edges alone: together they make up a source, or the whole of the other run."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_images, random_model
from vitreous import UnsupportedModelError
from vitreous.hooks import Ablate
from vitreous.models import Graph
from vitreous.patching import patch_edges

CLEAN, CORRUPT = random_images(2), random_images(2, seed=7)


def has_edges(readout: str) -> bool:
    try:
        Graph.of(random_model(**READOUTS[readout]))
    except UnsupportedModelError:
        return False
    return True


GRAPHS = [readout for readout in READOUTS if has_edges(readout)]
SOME = [
    ("class token", "input"),
    ("class token", "m0"),
    ("parallel, normed queries and keys", "m1"),
    ("registers, ln_pre, LayerScale", "input"),
    ("attention pooling", "a2.h3"),
]


def one_edge(model, base, source, target, edge) -> torch.Tensor:
    """A whole pass in which one reader's input is a sum written out: the stream, less, plus."""
    cfg = model.cfg
    names = ["blocks.*.attn.hook_result", "blocks.*.hook_mlp_out", "blocks.0.hook_resid_pre"]
    caches = [model.run_with_cache(x, names_filter=names)[1] for x in (base, source)]

    def written(cache):
        if edge.source == "input":
            return cache["blocks.0.hook_resid_pre"]
        if edge.source.startswith("m"):
            return cache[f"blocks.{edge.source[1:]}.hook_mlp_out"]
        layer, head = edge.source[1:].split(".h")
        return cache[f"blocks.{layer}.attn.hook_result"][:, :, int(head)]

    change = written(caches[1]) - written(caches[0])
    if edge.destination == "logits":
        point, head = f"blocks.{cfg.n_layers - 1}.hook_resid_post", None
    elif edge.destination.startswith("m"):
        point, head = f"blocks.{edge.destination[1:]}.hook_mlp_in", None
    else:
        layer, rest = edge.destination[1:].split(".h")
        point, head = f"blocks.{layer}.hook_{rest[-2]}_input", int(rest.split("<")[0])

    def add(value, hook):
        own = value if head is None else value[:, :, head]
        own += change

    with torch.no_grad():
        return target(model.run_with_hooks(base, fwd_hooks=[(point, add)])) - target(model(base))


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_each_edge_equals_a_whole_pass(direction):
    model = random_model(n_layers=2, n_heads=2)
    target = model.target([0, 1], minus=2)
    edges = Graph.of(model).edges()
    found = patch_edges(
        model, CLEAN, CORRUPT, target, edges=edges, direction=direction, max_batch=33
    )
    runs = (CORRUPT, CLEAN) if direction == "denoise" else (CLEAN, CORRUPT)
    assert found["component"].values.tolist() == [str(edge) for edge in edges]
    for column, edge in enumerate(edges):
        expected = one_edge(model, *runs, target, edge)
        np.testing.assert_allclose(found["effect"][:, column], expected, rtol=0, atol=1e-10)
    alone = patch_edges(
        model, CLEAN, CORRUPT, target, edges=edges, direction=direction, max_batch=1
    )
    np.testing.assert_allclose(found["effect"], alone["effect"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", GRAPHS)
def test_all_edges_make_the_other_run(readout):
    model = random_model(**READOUTS[readout])
    clean, corrupt = images_of(model), images_of(model, seed=7)
    edges = Graph.of(model).edges()
    target = model.target(0, minus=1)
    found = patch_edges(model, clean, corrupt, target, edges=edges, together=True)
    assert found["effect"].dims == ("pair",)
    np.testing.assert_allclose(found["normalized"], 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("readout", "source"),
    [*((readout, "a0.h1") for readout in GRAPHS), *SOME],
)
def test_the_edges_of_a_source_make_up_what_it_writes(readout, source):
    model = random_model(**READOUTS[readout])
    clean, corrupt = images_of(model), images_of(model, seed=7)
    target = model.target(0, minus=1)
    own = [edge for edge in Graph.of(model).edges() if edge.source == source]
    found = patch_edges(model, clean, corrupt, target, edges=own, together=True)
    layer, head = source[1], source[-1]
    name = "blocks.0.hook_resid_pre" if source == "input" else f"blocks.{layer}.hook_mlp_out"
    name = f"blocks.{layer}.attn.hook_z" if ".h" in source else name
    there = model.run_with_cache(clean)[1][name]

    def patch(value, hook):
        if ".h" in source:
            value[:, :, int(head)] = there[:, :, int(head)]
            return value
        return there

    with torch.no_grad():
        patched = target(model.run_with_hooks(corrupt, fwd_hooks=[(name, patch)]))
        expected = patched - target(model(corrupt))
    assert expected.abs().max() > 1e-6
    np.testing.assert_allclose(found["effect"], expected, rtol=0, atol=1e-10)


def test_the_groups_of_an_edge_make_it_up():
    model = random_model(n_layers=2)
    target = model.target(0, minus=1)
    groups = {"class": "cls", "top": [1, 2, 3], "rest": list(range(4, model.layout.n_tokens))}
    whole = patch_edges(
        model, CLEAN, CORRUPT, target, edges=[("a0.h1", "m1"), ("a0.h1", "logits")], together=True
    )
    parts = [(*ends, name) for ends in (("a0.h1", "m1"), ("a0.h1", "logits")) for name in groups]
    asked = {"edges": parts, "groups": groups}
    found = patch_edges(model, CLEAN, CORRUPT, target, together=True, **asked)
    np.testing.assert_allclose(found["effect"], whole["effect"], rtol=0, atol=1e-10)
    apart = patch_edges(model, CLEAN, CORRUPT, target, **asked)
    assert apart["component"].values[0] == "a0.h1->m1[class]"
    read, unread = "a0.h1->logits[class]", "a0.h1->logits[top]"
    effects = abs(apart["effect"]).max("pair").to_series()
    assert effects[read] > 1e-3
    assert effects[unread] < 1e-12


def test_it_runs_under_the_hooks_that_are_there():
    model = random_model(n_layers=2, n_heads=2)
    target = model.target(0, minus=1)
    edges = Graph.of(model).edges()
    with model.intervene(Ablate("L0M", "zero")):
        found = patch_edges(model, CLEAN, CORRUPT, target, edges=edges[::5])
        for column, edge in enumerate(edges[::5]):
            expected = one_edge(model, CORRUPT, CLEAN, target, edge)
            np.testing.assert_allclose(found["effect"][:, column], expected, rtol=0, atol=1e-10)
