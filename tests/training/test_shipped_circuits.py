"""The models that were trained to have a circuit have it, measured by plain hooks."""

from functools import cache

import pytest
import torch
from torch import Tensor

from vitreous.models import GraphShape, Pairs, layer_of, load, shipped_folder
from vitreous.terrarium import TRAINED_CIRCUITS, TrainedCircuit, mark_task, trained_circuit

COUNT = 512
LARGEST = 500_000


@cache
def circuit(name: str) -> TrainedCircuit:
    return trained_circuit(name)


@cache
def pictures(name: str):
    return circuit(name).task.images("shipped circuits", COUNT)[:COUNT]


def symbols(name: str) -> Tensor:
    return pictures(name).masks[:, 3::6, 3::6]


def site(node: str) -> tuple[str, tuple]:
    """A point of the model, and what of it belongs to a node."""
    if node == "input":
        return "blocks.0.hook_resid_pre", (...,)
    if node.startswith("m"):
        return f"blocks.{node[1:]}.hook_mlp_out", (...,)
    layer, head = node[1:].split(".h")
    return f"blocks.{layer}.attn.hook_z", (slice(None), slice(None), int(head))


@cache
def as_it_is(name: str):
    points = [f"blocks.{layer}.{x}" for layer in (0, 1) for x in ("attn.hook_z", "hook_mlp_out")]
    with torch.no_grad():
        return circuit(name).model.run_with_cache(pictures(name).pixels, names_filter=points)[1]


def with_swapped(name: str, nodes: list[str], donors: Tensor) -> Tensor:
    """Answers where nodes say what they said of other pictures."""
    written = as_it_is(name)
    hooks = []
    for node in nodes:
        point, part = site(node)

        def swap(value, hook, part=part, other=written[point][donors]):
            value[part] = other[part]

        hooks.append((point, swap))
    with torch.no_grad():
        return circuit(name).model.run_with_hooks(pictures(name).pixels, fwd_hooks=hooks).argmax(-1)


def donors(seed: int) -> Tensor:
    return torch.randperm(COUNT, generator=torch.Generator().manual_seed(seed))


def in_the_task(name: str, swapped: str, others: Tensor) -> list[int]:
    """What a swap should make of each picture, told without the causal model."""
    expected = []
    for own, other in zip(symbols(name), symbols(name)[others], strict=True):
        expected.append(ANSWERS[name](own, other, swapped))
    return expected


def common(own, other, swapped):
    first = (other if swapped == "a0.h1" else own)[1, 0]
    second = (other if swapped == "a1.h2" else own)[2, 3]
    if swapped == "m1":
        first, second = other[1, 0], other[2, 3]
    return int(first) if first == second else 4


def mark_of(picture, night):
    half = picture[:, :2] if night else picture[:, 2:]
    [color] = [int(x) % 5 for x in half.flatten() if int(x) % 5 != 4]
    return color


def cued(own, other, swapped):
    night = bool((other if swapped == "a0.h3" else own)[0, 0] > 4)
    return mark_of(other, bool(other[0, 0] > 4)) if swapped == "a1.h1" else mark_of(own, night)


def told(own, other, swapped):
    if swapped == "a1.h0":
        return mark_of(other, bool(other[0, 0] > 4))
    if swapped == "m0":
        half = range(2) if other[0, 0] > 4 else range(2, 4)
        [place] = [(r, c) for r in range(4) for c in half if int(other[r, c]) % 5 != 4]
        return int(own[place]) % 5
    return mark_of(own, bool((other if swapped == "a0.h2" else own)[0, 0] > 4))


ANSWERS = {"common": common, "cued": cued, "told": told}
SWAPS = [(name, node) for name in TRAINED_CIRCUITS for node in mark_task(name).causal.nodes]


@pytest.mark.parametrize(("name", "node"), SWAPS)
def test_a_swapped_node_changes_the_answer_as_its_variable_does(name, node):
    others = donors(1)
    expected = torch.tensor(in_the_task(name, node, others))
    found = with_swapped(name, [node], others)
    part = (found == expected).double().mean()
    changed = (expected != pictures(name).labels).double().mean()
    assert changed > 0.2
    assert part > 0.99


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_it_is_right_though_all_nodes_outside_of_the_circuit_speak_of_other_pictures(name):
    inside = circuit(name).task.causal.nodes
    outside = [x for x in circuit(name).graph.sources[1:] if x not in inside]
    found = with_swapped(name, outside, donors(2))
    part = (found == pictures(name).labels).double().mean()
    assert part > 0.99
    everything = with_swapped(name, list(circuit(name).graph.sources[1:]), donors(2))
    assert (everything == pictures(name).labels).double().mean() < 0.6


@torch.no_grad()
def moved(name: str) -> dict[tuple[str, str], float]:
    """The mean size of what each edge alone moves, as a part of what the whole picture moves."""
    of, shape = circuit(name), GraphShape.of(circuit(name).model)
    model, pairs = of.model, Pairs.of(of.model, *of.pairs(48), of.target)
    points = ["blocks.0.hook_resid_pre", "blocks.*.attn.hook_z", "blocks.*.hook_mlp_out"]
    runs = [model.run_with_cache(x, names_filter=points)[1] for x in (pairs.clean, pairs.corrupt)]

    def change(source: str) -> Tensor:
        point, part = site(source)
        difference = runs[0][point][part] - runs[1][point][part]
        if not source.startswith("a"):
            return difference
        return difference @ model.blocks[layer_of(source)].attn.W_O[part[-1]]

    found = {}
    for source, row in zip(shape.sources, shape.possible, strict=True):
        for destination, there in zip(shape.destinations, row.tolist(), strict=True):
            if there:
                hook = reading(destination, change(source))
                logits = model.run_with_hooks(pairs.corrupt, fwd_hooks=[hook])
                parts = pairs.normalized(of.target(logits))
                found[source, destination] = float(parts.abs().mean())
    return found


def reading(destination: str, change: Tensor):
    """A hook by which a destination alone reads something more."""
    node, _, letter = destination.partition("<")
    if node == "logits":
        return "blocks.1.hook_resid_post", lambda value, hook: value + change
    if node.startswith("m"):
        return f"blocks.{node[1:]}.hook_mlp_in", lambda value, hook: value + change
    layer, head = node[1:].split(".h")

    def of_a_head(value, hook):
        value[:, :, int(head)] += change

    return f"blocks.{layer}.hook_{letter[0]}_input", of_a_head


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_every_edge_of_the_circuit_moves_the_target_and_no_other_edge_does_much(name):
    found = moved(name)
    true = {tuple(edge[:2]) for edge in circuit(name).graph.edges()}
    least = min(found[edge] for edge in true)
    most = max(part for edge, part in found.items() if edge not in true)
    assert len(found) == circuit(name).graph.n_possible == 110
    assert least > 0.15, f"the least of {len(true)} true edges"
    assert most < 0.04, f"the most of {len(found) - len(true)} others"


@pytest.mark.parametrize("name", TRAINED_CIRCUITS)
def test_its_card_tells_three_accuracies_and_its_files_are_small(name):
    tested = load(f"circuit-{name}").card["tests"]["test"]
    assert tested["images"] == 4096
    for of in ("accuracy", "interchange_accuracy", "strict_accuracy"):
        assert 0.98 < tested[of] <= 1
    files = (shipped_folder() / f"circuit-{name}").iterdir()
    assert sum(file.stat().st_size for file in files) < LARGEST
