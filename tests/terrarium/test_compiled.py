"""The models whose circuit is known are right, and their circuits are what they say."""

import hashlib
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.terrarium._interchange import (
    all_edges,
    auroc,
    effects,
    gradient_scores,
    interchanged,
    true_edges,
    value_of,
    written,
)
from vitreous.models import Graph, Pairs, node_of
from vitreous.terrarium import COMPILED_MODELS, CompiledModel, compiled_model, compiled_models
from vitreous.terrarium._chance import Chance
from vitreous.terrarium._tiles import COLORS, MOTIFS, any_tiles, pictures
from vitreous.terrarium._wiring import FEATURES

N_PAIRS = 4
IDLE = {
    "corners": {"a1.h0"},
    "repeat": {"a1.h1"},
    "count": set(),
    "mirror": {"a0.h1"},
    "switch": {"a0.h2"},
    "redundant": {"a0.h3"},
}

each_model = pytest.mark.parametrize("name", COMPILED_MODELS)
each_sound_model = pytest.mark.parametrize("name", [n for n in COMPILED_MODELS if n != "redundant"])


@cache
def made(name: str) -> CompiledModel:
    return compiled_model(name)


@cache
def moved(name: str, direction: str) -> dict[tuple[str, str], torch.Tensor]:
    clean, corrupt = made(name).pairs(N_PAIRS)
    base, other = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    return effects(made(name), base, other)


def logits(item: CompiledModel, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return item.model(images)


# ---- the task


@each_model
def test_the_model_is_right_about_every_picture(name):
    item = made(name)
    for seed in range(3):
        images, labels = item.images(200, seed)
        assert set(labels.tolist()) == set(range(len(item.model.labels)))
        assert torch.equal(logits(item, images).argmax(-1), labels)


@each_model
def test_the_model_is_sure_by_a_logit_or_more(name):
    images, labels = made(name).images(200, 3)
    said = logits(made(name), images)
    best = said.gather(1, labels[:, None])[:, 0]
    others = said.scatter(1, labels[:, None], -torch.inf).amax(-1)
    assert (best - others).min() > 0.99


@each_model
def test_the_label_that_is_asked_for_is_drawn(name):
    circuit = made(name)._circuit
    for label in range(len(made(name).model.labels)):
        for i in range(50):
            assert circuit.label(circuit.draw(Chance(name, label, i), label)) == label


@each_model
def test_the_target_falls_from_clean_to_corrupt_in_every_pair(name):
    item = made(name)
    pairs = Pairs.of(item.model, *item.pairs(64, 1), item.target)
    assert (pairs.clean_value - pairs.corrupt_value).min() > 1


@each_model
def test_a_picture_does_not_depend_on_how_many_are_drawn(name):
    item = made(name)
    assert torch.equal(item.images(3, 5)[0], item.images(7, 5)[0][:3])
    for few, many in zip(item.pairs(3, 5), item.pairs(7, 5), strict=True):
        assert torch.equal(few, many[:3])


@each_model
def test_seeds_and_items_differ(name):
    item = made(name)
    drawn = [*item.images(4, 0)[0], *item.images(4, 1)[0], *item.pairs(4, 0)[0]]
    assert all(not torch.equal(a, b) for a, b in pairwise(drawn))


@each_model
def test_pictures_of_eight_bits_are_answered_too(name):
    images, labels = made(name).images(40, 4)
    levels = (images * 255).round().to(torch.uint8)
    prepared = made(name).model.preprocess([*levels.permute(0, 2, 3, 1).numpy()])
    assert torch.equal(logits(made(name), prepared).argmax(-1), labels)


@each_model
def test_single_precision_answers_alike(name):
    item = compiled_model(name)
    images, labels = item.images(100, 6)
    item.model.float()
    assert torch.equal(logits(item, images.float()).argmax(-1), labels)


def test_the_embedding_reads_tiles_without_rounding():
    tiles = [any_tiles(Chance("reading", i)) for i in range(20)]
    with torch.no_grad():
        stream = made("corners").model.embed(pictures(tiles))
    read = stream[:, 1:, : len(FEATURES)].unflatten(1, (4, 4))
    colors = torch.eye(4, dtype=torch.float64)[np.stack([each.colors for each in tiles])]
    motifs = torch.eye(4, dtype=torch.float64)[np.stack([each.motifs for each in tiles])]
    assert torch.equal(read[..., : len(COLORS)], colors)
    assert torch.equal(read[..., len(COLORS) : len(COLORS + MOTIFS)], motifs)
    rows, columns = read[0, ..., 8:12].argmax(-1), read[0, ..., 12:16].argmax(-1)
    assert rows[:, 0].tolist() == columns[0].tolist() == [0, 1, 2, 3]


def test_levels_are_those_of_pictures():
    images, _ = made("mirror").images(5)
    assert images.shape == (5, 3, 16, 16)
    assert set(images.unique().tolist()) == {0, 0.5, 1}


# ---- the circuit


@each_model
def test_true_edges_move_the_target_from_the_corrupt_side_and_false_ones_never(name):
    true = true_edges(made(name))
    for edge, effect in moved(name, "denoise").items():
        if edge in true:
            assert effect.max() > 0.5, edge
        else:
            assert effect.abs().max() < 1e-9, edge


@each_sound_model
def test_true_edges_move_the_target_from_the_clean_side_and_false_ones_never(name):
    true = true_edges(made(name))
    for edge, effect in moved(name, "noise").items():
        if edge in true:
            assert effect.min() < -0.5, edge
        else:
            assert effect.abs().max() < 1e-9, edge


@each_model
def test_no_edge_works_against_the_others(name):
    # Methods that average over pairs would lose edges whose effects cancel. Soft attention leaves
    # a percent, against effects of 2 to 8.
    assert all(effect.min() > -0.05 for effect in moved(name, "denoise").values())
    assert all(effect.max() < 0.05 for effect in moved(name, "noise").values())


def test_either_of_two_redundant_ways_will_do():
    item = made("redundant")
    noised = {e for e, effect in moved("redundant", "noise").items() if effect.abs().max() > 1e-9}
    assert noised == {("m1", "logits")}
    clean, corrupt = item.pairs(N_PAIRS)
    whole = item.target(logits(item, clean))
    for copy in ("a0.h1", "a1.h2"):
        without = [edge for edge in all_edges(item) if edge != (copy, "m1")]
        assert torch.allclose(value_of(item, clean, corrupt, without), whole)
    neither = [e for e in all_edges(item) if e not in {("a0.h1", "m1"), ("a1.h2", "m1")}]
    corrupted = item.target(logits(item, corrupt))
    assert torch.allclose(value_of(item, clean, corrupt, neither), corrupted)


@each_model
def test_the_true_edges_alone_give_the_clean_value(name):
    item = made(name)
    clean, corrupt = item.pairs(N_PAIRS, 2)
    alone = value_of(item, clean, corrupt, true_edges(item))
    torch.testing.assert_close(alone, item.target(logits(item, clean)), atol=1e-9, rtol=0)


@each_model
def test_the_false_edges_alone_give_the_corrupt_value(name):
    item = made(name)
    clean, corrupt = item.pairs(N_PAIRS, 2)
    rest = value_of(item, clean, corrupt, set(all_edges(item)) - true_edges(item))
    torch.testing.assert_close(rest, item.target(logits(item, corrupt)), atol=1e-9, rtol=0)


@each_sound_model
def test_the_circuit_misses_each_of_its_edges(name):
    item = made(name)
    clean, corrupt = item.pairs(N_PAIRS)
    whole = item.target(logits(item, clean))
    for edge in true_edges(item):
        left = value_of(item, clean, corrupt, true_edges(item) - {edge})
        assert (left - whole).min() < -0.5, edge


@each_model
def test_all_but_idle_heads_write_something_that_differs_in_a_pair(name):
    item = made(name)
    clean, corrupt = (written(item, images) for images in item.pairs(N_PAIRS))
    still = {source for source in clean if torch.equal(clean[source], corrupt[source])}
    assert still == IDLE[name]
    assert all(not clean[source].any() for source in IDLE[name])


@each_model
def test_roles_are_those_of_the_nodes_of_the_circuit(name):
    item = made(name)
    nodes = {node_of(end) for edge in true_edges(item) for end in edge} - {"input", "logits"}
    assert set(item.roles) == nodes


@each_model
def test_no_true_edge_leads_nowhere(name):
    graph = made(name).graph
    assert graph.pruned().edges() == graph.edges()
    assert graph.n_possible > 15 * graph.count


def test_one_head_alone_decides_in_the_switch():
    item = made("switch")
    clean, corrupt = item.pairs(16)
    with torch.no_grad():
        _, cached = item.model.run_with_cache(clean)
    switch, answers = (1, 1), []
    for patches_the_switch in (True, False):

        def patch(value, hook, it=patches_the_switch):
            chosen = torch.tensor([((hook.layer(), head) == switch) == it for head in range(4)])
            return torch.where(chosen[:, None], cached[hook.name], value)

        hooks = [(f"blocks.{layer}.attn.hook_z", patch) for layer in range(2)]
        with torch.no_grad():
            answers.append(item.model.run_with_hooks(corrupt, fwd_hooks=hooks).argmax(-1))
    assert answers[0].tolist() == [0] * 16  # "red", as in the clean pictures
    assert answers[1].tolist() == [1] * 16


# ---- what gradients see

SETTLED = {"count", "mirror", "redundant"}


@each_model
def test_gradients_between_the_two_pictures_find_the_circuit(name):
    scores = gradient_scores(made(name), *made(name).pairs(16), [0, 0.2, 0.4, 0.6, 0.8])
    assert auroc(scores, true_edges(made(name))) >= 0.9
    assert min(scores[edge] for edge in true_edges(made(name))) > 0.05


@each_model
def test_gradients_at_the_clean_picture_fail_where_it_is_said(name):
    scores = gradient_scores(made(name), *made(name).pairs(16), [1.0])
    found = auroc(scores, true_edges(made(name)))
    assert found < 0.7 if name in SETTLED else found == 1


def test_gradients_between_pictures_see_the_fallback_that_never_fires():
    item = made("count")
    scores = gradient_scores(item, *item.pairs(16), [0, 0.2, 0.4, 0.6, 0.8])
    fallback = {("input", "a0.h0<v>"), ("a0.h0", "m1")}
    assert {edge for edge, score in scores.items() if score > 1e-9} == true_edges(item) | fallback


# ---- the item


def test_models_come_in_order_and_are_made_anew():
    first, second = compiled_models(), compiled_models()
    assert tuple(item.name for item in first) == COMPILED_MODELS
    assert all(a.model is not b.model for a, b in zip(first, second, strict=True))


def test_an_item_prints_what_it_is():
    assert repr(made("corners")) == (
        "CompiledModel('corners', 2 layers x 4 heads, 5 of 110 edges are true, "
        "target 'left - right')"
    )


@each_model
def test_the_model_knows_where_it_comes_from(name):
    item = made(name)
    assert item.model.card["name"] == name and item.model.card["about"] == item.about
    assert item.model.placement.dtype == torch.float64 and not item.model.training
    assert Graph.of(item.model).shape == item.graph.shape


def test_a_changed_stream_of_one_token_reaches_the_logits():
    # `interchanged` itself: an edit must arrive.
    item = made("switch")
    clean, _ = item.pairs(2)
    change = torch.zeros(2, 17, item.model.cfg.d_model, dtype=torch.float64)
    change[:, 0] = item.model.head.linear.weight[0]
    [after] = interchanged(item, clean, {("input", "logits"): change}).values()
    assert torch.allclose(after, item.target(logits(item, clean)) + 16)


HASHES = {
    "corners": "8dc40813 ec86f13e",
    "repeat": "d8cb3bac a7dcd06c",
    "count": "57636bf4 568777e5",
    "mirror": "5472afee e1b46e88",
    "switch": "40fc26e2 1d6928fb",
    "redundant": "f1ee0dd0 f664f5ff",
}


@each_model
def test_weights_and_pictures_stay_the_same_for_good(name):
    item = made(name)
    drawn = [item.images(8, 1)[0], *item.pairs(8, 1)]
    pixels = hashlib.sha256(b"".join(each.numpy().tobytes() for each in drawn)).hexdigest()
    assert f"{item.model.card['weight_hash'][:8]} {pixels[:8]}" == HASHES[name]


# ---- the page

PAGE = (Path(__file__).parents[2] / "docs/terrarium.md").read_text(encoding="utf-8")


@each_model
def test_the_page_lists_the_true_edges(name):
    section = PAGE.partition(f"### {name}\n")[2].partition("\n##")[0]
    edges = true_edges(made(name))
    listed = section.partition(".jpg)")[2]
    for source, destination in edges:
        assert f"`{source}->{destination}`" in listed
    assert f"| `{name}` | {made(name).model.cfg.n_layers} | {len(edges)} |" in PAGE
