"""Reports on circuits: every number is that of its method, and the picture is the graph's."""

import numpy as np
import pytest
import torch

from tests.tiny import READOUTS, images_of, random_model
from tests.view.reading import next_frame, number, open_page
from vitreous.circuits import MaskedRuns, discover, faithfulness, faithfulness_curve
from vitreous.data import Images
from vitreous.heads import name_heads, score_heads
from vitreous.models import Graph, Pairs, TokenGroups
from vitreous.report import circuit_report
from vitreous.terrarium import compiled_model
from vitreous.view import CircuitGraph, Curve, PatchStrip, Table

HAS_GRAPH = {
    name: changes
    for name, changes in READOUTS.items()
    if "n_frames" not in changes
    and name not in ("norms behind attention and MLP", "rotary, gated, norms inside")
}


def halves(model, n=3):
    images = images_of(model, 2 * n)
    return images[:n], images[n:]


@pytest.fixture(scope="module")
def model():
    return random_model(n_layers=2)


@pytest.fixture(scope="module")
def pairs(model):
    return Pairs.of(model, *halves(model, 4), 0)


@pytest.fixture(scope="module")
def graph(model, pairs):
    return discover(model, pairs.clean, pairs.corrupt, 0, "eap").top(30)


@pytest.fixture(scope="module")
def report(model, pairs, graph):
    return circuit_report(model, graph, pairs.clean, pairs.corrupt, 0, images=pairs.clean, count=2)


def of_kind(page, kind):
    return [v for section in page.sections for v in section.viewers if isinstance(v, kind)]


@pytest.mark.parametrize("kind", HAS_GRAPH)
def test_every_kind_of_model_with_a_graph_has_a_report(kind):
    model = random_model(n_layers=2, **HAS_GRAPH[kind])
    clean, corrupt = halves(model)
    graph = discover(model, clean, corrupt, 1, "eap").top(20)
    found = circuit_report(model, graph, clean, corrupt, 1)
    assert "<vt-circuit-graph" in found.page.html()


def test_numbers_are_those_of_the_evaluation(pairs, graph, report):
    direct = faithfulness(pairs, graph)
    evidence = report.evidence
    assert evidence.faithfulness == pytest.approx(float(direct["faithfulness"][0]), abs=1e-12)
    np.testing.assert_allclose(evidence.by_pair, direct["faithfulness_of_pair"][0], atol=1e-12)
    curve = faithfulness_curve(pairs, graph)
    np.testing.assert_allclose(evidence.curve["faithfulness"], curve["faithfulness"], atol=1e-12)
    assert len(evidence.worst_first) == len(pairs)
    assert np.all(np.diff(np.abs(evidence.by_pair[evidence.worst_first] - 1)) <= 0)


@pytest.mark.parametrize("part", ["input", "m0", "a1.h0"])
def test_an_effect_is_that_of_a_run_without_the_parts_edges(pairs, graph, report, part):
    included = graph.included.clone()
    included[:, [name == part for name in graph.sources]] = False
    included[:, :, [name.partition("<")[0] == part for name in graph.destinations]] = False
    if torch.equal(included, graph.included):
        assert part not in report.evidence.effects
        return
    with torch.no_grad():
        whole, left = MaskedRuns(pairs, graph).values(torch.stack([graph.included, included]))
    expected = float((whole - left).mean())
    assert report.evidence.effects[part] == pytest.approx(expected, abs=1e-10)


def test_the_edges_table_is_the_graph(graph, report):
    table = of_kind(report.page, Table)[-2]
    best = sorted(graph.edges(), key=lambda edge: -abs(edge.score))
    assert [row[-1] for row in table.rows] == [edge.score for edge in best[:30]]


def test_heads_have_the_names_that_they_earn(model, pairs, report):
    scores = score_heads(model, pairs.clean)
    assert report.evidence.names == tuple(name_heads(scores))
    again = circuit_report(
        model, report.evidence.graph, pairs.clean, pairs.corrupt, 0, scores=scores
    )
    assert again.evidence.names == report.evidence.names


def test_a_known_circuit_is_told_as_it_was_built():
    known = compiled_model("corners")
    clean, corrupt = known.pairs(8)
    found = circuit_report(
        known.model, known.graph, clean, corrupt, known.target, roles=known.roles
    )
    evidence = found.evidence
    assert evidence.faithfulness == pytest.approx(1, abs=1e-9)
    assert evidence.curve is None and not of_kind(found.page, Curve)
    heads = {row[0]: row for row in of_kind(found.page, Table)[0].rows}
    parts = {edge.source for edge in known.graph.edges()}
    parts |= {edge.destination.partition("<")[0] for edge in known.graph.edges()}
    named = {f"L{name[1:].replace('.h', 'H')}" for name in parts if name.startswith("a")}
    assert set(heads) == named
    assert not found.page.sections[0].warnings
    picture = of_kind(found.page, CircuitGraph)[0]
    assert {e.source + ">" + e.destination for e in picture.edges if e.included} == {
        e.source + ">" + e.destination.partition("<")[0] for e in known.graph.edges()
    }


def test_what_misleads_is_said(model, pairs, graph):
    given = (pairs.clean, pairs.corrupt)
    everything = circuit_report(model, Graph.of(model), *given, 0)
    assert everything.page.sections[0].warnings[0].startswith("All edges of the model are in")
    assert everything.evidence.faithfulness == pytest.approx(1, abs=1e-10)
    assert everything.page.sections[-1].note.startswith("The graph doesn’t say how it was found")
    dead = graph.keeping([("input", "m0"), ("input", "logits")])
    found = circuit_report(model, dead, *given, 1, held_out=False)
    said = " ".join(found.page.sections[0].warnings)
    assert "1 of its edges lead nowhere" in said and "on these very pairs" in said
    assert "It was found for “" in said and "gives back" in said


def test_edges_by_groups_of_tokens_have_a_report(model, pairs):
    groups = TokenGroups.of(model.layout_for(pairs.clean), "kinds")
    graph = discover(model, pairs.clean, pairs.corrupt, 0, "eap", groups=groups).top(20)
    found = circuit_report(model, graph, pairs.clean, pairs.corrupt, 0, groups=groups)
    table = of_kind(found.page, Table)[-2]
    assert table.columns == ["from", "to", "tokens", "score"]
    assert {row[2] for row in table.rows} <= set(groups.names)


def test_one_pair_of_one_patch_in_one_layer_is_enough():
    model = random_model(n_layers=1, image_size=(4, 4))
    clean, corrupt = halves(model, 1)
    graph = discover(model, clean, corrupt, 0, "eap").top(3)
    found = circuit_report(model, graph, clean, corrupt, 0, images=clean)
    assert len(of_kind(found.page, PatchStrip)[0].pictures) == 2


def test_one_corrupt_image_stands_for_all_and_images_are_as_many_as_they_are(model, pairs, graph):
    found = circuit_report(
        model, graph, pairs.clean, pairs.corrupt[:1], 0, images=Images.from_tensor(pairs.clean[:3])
    )
    assert len(found.evidence.by_pair) == len(pairs)
    scores = score_heads(model, pairs.clean[:3])
    assert found.evidence.names == tuple(name_heads(scores))


def test_half_precision_has_a_report(pairs, graph):
    model = random_model(n_layers=2).bfloat16()
    apart = [0, 2]  # pairs that differ by more than what bfloat16 rounds
    clean, corrupt = pairs.clean[apart].bfloat16(), pairs.corrupt[apart].bfloat16()
    found = circuit_report(model, graph, clean, corrupt, 0)
    assert np.isfinite(found.evidence.faithfulness) and found.page.html()


def test_the_page_reads_the_numbers(report, browser_page, tmp_path):
    open_page(browser_page, report.page, tmp_path)
    curve = browser_page.locator("vt-curve")
    curve.locator("circle").nth(2).hover()
    next_frame(browser_page)
    said = curve.locator(".readout-line").inner_text()
    points = of_kind(report.page, Curve)[0]
    assert said.startswith(points.labels[2])
    assert number(said.rsplit(" ", 1)[1]) == pytest.approx(float(points.values[2]), abs=5.1e-4)
    table = browser_page.locator("vt-table").nth(-2)
    table.get_by_role("button", name="score").click()
    shown = [number(text) for text in table.locator("td.number").all_inner_texts()]
    scores = [row[-1] for row in of_kind(report.page, Table)[-2].rows]
    np.testing.assert_allclose(shown, sorted(scores, reverse=True), atol=5.1e-5)
    table.get_by_role("button", name="score").click()
    assert number(table.locator("td.number").first.inner_text()) == pytest.approx(
        min(scores), abs=5.1e-5
    )
    labels = browser_page.locator("vt-patch-strip .strip").inner_text()
    assert f"pair {report.evidence.worst_first[0]}, clean: model" in labels


def test_nasty_roles_show_as_text(model, pairs, graph, browser_page, tmp_path):
    nasty = "<script>document.title='gone'</script> \"🐱\""
    part = next(edge.source for edge in graph.edges() if edge.source != "input")
    found = circuit_report(
        model, graph, pairs.clean, pairs.corrupt, 0, roles={part: nasty}, title="A circuit"
    )
    open_page(browser_page, found.page, tmp_path)
    assert nasty in browser_page.locator("main").inner_text()
    assert browser_page.title() == "A circuit"
