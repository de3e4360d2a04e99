"""The picture of a circuit: what stands out under the cursor is what the graph says."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from tests.view.reading import UNREADY, next_frame, number, open_page
from vitreous.models import Graph, GraphShape
from vitreous.view import MOST_DRAWN, CircuitEdge, CircuitGraph, CircuitNode, Page, Section

NASTY = ("<script>document.title='gone'</script>", "\"q\" & 'a'", "🐱 قطة")


def graph(n_layers=3, n_heads=4, groups=("all",), seed=0):
    """With a score for every edge, of either sign and all of different size."""
    shape = GraphShape(n_layers, n_heads)
    possible = shape.possible.repeat(len(groups), 1, 1)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(possible.shape, generator=generator, dtype=torch.float64)
    return Graph(shape, possible, possible.clone(), None, groups).scored(scores)


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def part(viewer, name):
    return viewer.get_by_role("button", name=re.compile(f"^{name}:"))


def rows(viewer):
    """By heading of the table, (name, score) of each line."""
    found, heading = {}, None
    for line in viewer.locator(".edges tr").all():
        if "group" in (line.get_attribute("class") or ""):
            heading = line.inner_text()
            continue
        found.setdefault(heading, {})[line.locator("th").inner_text()] = number(
            line.locator(".number").inner_text()
        )
    return found


def short(name):
    head = re.fullmatch(r"a(\d+)\.h(\d+)", name)
    if head:
        return f"L{head[1]}H{head[2]}"
    return f"MLP {name[1:]}" if name.startswith("m") else name


LETTERS = {"<q>": "query", "<k>": "key", "<v>": "value"}


def expected(circuit, node):
    """The same from the graph."""
    into, out = {}, {}
    for edge in circuit.edges():
        to, letter = edge.destination.partition("<")[0], edge.destination[-3:]
        port = LETTERS.get(letter)
        if to == node:
            into[short(edge.source) + (f" as {port}" if port else "")] = edge.score
        if edge.source == node:
            out[short(to) + (f" {port}" if port else "")] = edge.score
    return into, out


@pytest.mark.parametrize(
    ("node", "spoken"),
    [("a1.h2", "Layer 1, head 2"), ("m1", "MLP of layer 1"), ("input", "Input")],
)
def test_a_part_under_the_cursor_shows_exactly_its_edges(browser_page, tmp_path, node, spoken):
    circuit = graph().top(90)
    viewer = show(browser_page, CircuitGraph.of(circuit), tmp_path)
    part(viewer, spoken).hover()
    next_frame(browser_page)
    into, out = expected(circuit, node)
    assert out
    found = rows(viewer)
    if into:
        assert found["Reads"] == pytest.approx(into, abs=5.1e-4)
    assert found["Is read by"] == pytest.approx(out, abs=5.1e-4)
    assert viewer.locator(".edge-line.lit").count() == len(into) + len(out)
    assert viewer.locator(".edge-table h3").inner_text() == short(node)
    near = {short(node), *(name.split(" ")[0] for name in into), *(n.split(" ")[0] for n in out)}
    is_mlp = sum(name.startswith("MLP") for name in {*map(str, into), *map(str, out)})
    assert viewer.locator(".part.near").count() >= len(near) - is_mlp


def test_lines_are_told_apart_by_sign_and_port(browser_page, tmp_path):
    circuit = graph().top(60)
    viewer = show(browser_page, CircuitGraph.of(circuit), tmp_path)
    edges = circuit.edges()
    assert viewer.locator("path.edge.for").count() == sum(edge.score > 0 for edge in edges)
    assert viewer.locator("path.edge.against").count() == sum(edge.score < 0 for edge in edges)
    for place, letter in enumerate(LETTERS, 1):
        ending = sum(edge.destination.endswith(letter) for edge in edges)
        assert viewer.locator(f"path.edge.port-{place}").count() == ending
    widths = viewer.locator("path.edge").evaluate_all(
        "(paths) => paths.map((path) => Number(path.getAttribute('stroke-width')))"
    )
    scores = np.sort(np.abs([edge.score for edge in edges]))  # the largest are drawn last, on top
    np.testing.assert_allclose(widths, 0.9 + 5.1 * scores / scores[-1], atol=0.006)


def test_the_slider_says_how_many_edges_are_drawn(browser_page, tmp_path):
    circuit = graph().top(40)
    viewer = show(browser_page, CircuitGraph.of(circuit, shown=10), tmp_path)
    slider = viewer.locator("input[type=range]")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    next_frame(browser_page)
    best = circuit.top(13)
    assert viewer.locator(".edge-line").count() == 13
    names = {edge.source for edge in best.edges()}
    names |= {edge.destination.partition("<")[0] for edge in best.edges()} | {"input", "logits"}
    assert viewer.locator(".part").count() == len(names)
    text = viewer.locator(".status").first.inner_text()
    assert text.startswith("13 of 40 edges of the circuit are drawn, scores of size ")
    smallest = min(abs(edge.score) for edge in best.edges())
    assert number(text.split("of size ")[1].split(" ")[0]) == pytest.approx(smallest, abs=5e-4)
    assert "27 are left out" in text and f"{circuit.n_possible - 40} other edges" in text


def test_all_edges_and_all_parts_are_there_to_choose(browser_page, tmp_path):
    circuit = graph().top(3)
    viewer = show(browser_page, CircuitGraph.of(circuit), tmp_path)
    viewer.get_by_role("group", name="Parts").get_by_label("all").check(force=True)
    next_frame(browser_page)
    assert viewer.locator(".part").count() == 2 + 3 * 5
    viewer.get_by_role("group", name="Edges").get_by_label("all").check(force=True)
    next_frame(browser_page)
    assert viewer.locator(".edge-line").count() == 100


def test_an_edge_under_the_cursor_is_named(browser_page, tmp_path):
    nodes = [CircuitNode("input", "input"), CircuitNode("logits", "output")]
    edges = [CircuitEdge("input", "logits", score=-0.25)]
    viewer = show(browser_page, CircuitGraph(nodes, edges), tmp_path)
    box = viewer.locator("path.reach").bounding_box()
    browser_page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    next_frame(browser_page)
    assert viewer.locator(".side > .readout-line").first.inner_text() == "input → logits: −0.2500"


def test_a_click_pins_a_part_until_it_is_clicked_again(browser_page, tmp_path):
    viewer = show(browser_page, CircuitGraph.of(graph().top(60)), tmp_path)
    part(viewer, "Layer 1, head 0").click()
    part(viewer, "Layer 0, head 1").hover()
    next_frame(browser_page)
    assert viewer.locator(".edge-table h3").inner_text() == "L0H1"
    viewer.locator(".edge-table h3").hover()
    next_frame(browser_page)
    assert viewer.locator(".edge-table h3").inner_text() == "L1H0"
    assert part(viewer, "Layer 1, head 0").get_attribute("aria-pressed") == "true"
    part(viewer, "Layer 1, head 0").click()
    browser_page.mouse.move(0, 0)
    part(viewer, "Layer 1, head 0").evaluate("(box) => box.blur()")
    next_frame(browser_page)
    assert viewer.locator(".edge-table h3").inner_text() == "Largest edges"


def test_arrow_keys_walk_over_the_parts_and_enter_pins(browser_page, tmp_path):
    viewer = show(browser_page, CircuitGraph.of(graph().top(100)), tmp_path)
    part(viewer, "Layer 0, head 0").focus()
    for key in ("ArrowRight", "ArrowUp", "Enter"):
        browser_page.keyboard.press(key)
    next_frame(browser_page)
    assert viewer.locator(".edge-table h3").inner_text() == "L1H1"
    assert part(viewer, "Layer 1, head 1").get_attribute("aria-pressed") == "true"
    browser_page.keyboard.press("Escape")
    next_frame(browser_page)
    assert part(viewer, "Layer 1, head 1").get_attribute("aria-pressed") == "false"


def test_a_link_leads_to_the_pinned_part_and_as_many_edges(browser_page, tmp_path):
    viewer = show(browser_page, CircuitGraph.of(graph().top(60), shown=50), tmp_path)
    slider = viewer.locator("input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    next_frame(browser_page)
    part(viewer, "MLP of layer 1").click()
    assert "edges=49" in browser_page.url and "part=m1" in browser_page.url
    browser_page.reload()
    browser_page.wait_for_selector(UNREADY, state="detached")
    next_frame(browser_page)
    assert viewer.locator(".edge-table h3").inner_text() == "MLP 1"
    assert viewer.locator(".edge-line").count() == 49


def test_edges_of_one_group_of_tokens_can_be_shown_alone(browser_page, tmp_path):
    circuit = graph(2, 2, ("class <token>", "patches")).top(50)
    viewer = show(browser_page, CircuitGraph.of(circuit), tmp_path)
    viewer.locator("select").select_option("1")
    next_frame(browser_page)
    count = sum(edge.group == "patches" for edge in circuit.edges())
    assert viewer.locator(".edge-line").count() == count
    assert " at patches" in viewer.locator(".edges tr").first.inner_text()


def test_thirty_thousand_edges_draw_some_hundreds_and_say_so(browser_page, tmp_path):
    circuit = graph(12, 12)
    assert circuit.n_possible > 30_000
    viewer = show(browser_page, CircuitGraph.of(circuit, shown=10_000), tmp_path)
    assert viewer.locator(".edge-line").count() == MOST_DRAWN
    text = viewer.locator(".status").first.inner_text()
    left = circuit.n_possible - MOST_DRAWN
    assert f"400 of {circuit.n_possible:,} edges" in text and f"{left:,} are left out" in text
    assert "A picture draws 400 at most." in text
    part(viewer, "Layer 11, head 11").scroll_into_view_if_needed()


def test_more_edges_than_a_page_holds_leave_the_smallest_out(browser_page, tmp_path):
    circuit = graph(12, 12, ("one", "other"))
    worst = circuit.scores.abs().masked_fill(~circuit.possible, torch.inf)
    included = torch.zeros_like(circuit.possible).flatten()
    included[worst.flatten().argmin()] = True
    viewer = CircuitGraph.of(circuit.including(included.view_as(circuit.possible)))
    assert len(viewer.edges) == 60_000 and viewer.left_out == circuit.n_possible - 60_000
    assert sum(edge.included for edge in viewer.edges) == 1  # the circuit's own come first
    kept = np.sort([abs(edge.score) for edge in viewer.edges])[1:]
    sizes = circuit.scores[circuit.possible].abs().sort(descending=True).values[:59_999]
    np.testing.assert_array_equal(kept[::-1], sizes)
    shown = show(browser_page, viewer, tmp_path)
    assert f"{viewer.left_out:,} more edges with smaller scores" in shown.inner_text()


def test_a_circuit_without_scores_or_without_edges_is_drawn(browser_page, tmp_path):
    unscored = Graph.keeping(graph(), [("input", "a0.h1<v>"), ("a0.h1", "logits")])
    plain = CircuitGraph.of(Graph(unscored.shape, unscored.possible, unscored.included))
    viewer = show(browser_page, plain, tmp_path)
    assert viewer.locator("path.edge.plain").count() == 2
    empty = show(browser_page, CircuitGraph.of(graph().keeping([])), tmp_path)
    assert empty.locator(".status").first.inner_text() == "There are no edges of the circuit."
    assert empty.locator(".part").count() == 2
    nothing = show(browser_page, CircuitGraph([CircuitNode("input", "input")], []), tmp_path)
    assert nothing.locator(".status").first.inner_text() == "There are no edges."


def test_nasty_names_show_as_text(browser_page, tmp_path):
    nodes = [
        CircuitNode(NASTY[0], "input", note=NASTY[1]),
        CircuitNode("h", "head", 0, 0, note=NASTY[0]),
        CircuitNode(NASTY[2], "output"),
    ]
    edges = [
        CircuitEdge(NASTY[0], "h", "v", NASTY[1], 1.0),
        CircuitEdge("h", NASTY[2], "", NASTY[0], -2.0),
    ]
    viewer = show(browser_page, CircuitGraph(nodes, edges, unit=NASTY[0], ends=NASTY[:2]), tmp_path)
    part(viewer, "Layer 0, head 0").hover()
    next_frame(browser_page)
    text = viewer.inner_text()
    assert browser_page.title() == "A page"
    assert all(name in text for name in NASTY)
    assert viewer.locator(".edge-table .readout-line").inner_text() == NASTY[0]
    assert viewer.locator("script").count() == 0


def test_notes_stand_with_their_part(browser_page, tmp_path):
    made = CircuitGraph.of(graph().top(60), notes={"a1.h1": "corner head, 0.93"})
    viewer = show(browser_page, made, tmp_path)
    part(viewer, "Layer 1, head 1: corner head, 0.93").hover()
    next_frame(browser_page)
    assert viewer.locator(".edge-table .readout-line").inner_text() == "corner head, 0.93"


def test_the_picture_is_saved_as_a_file(browser_page, tmp_path):
    viewer = show(browser_page, CircuitGraph.of(graph().top(20)), tmp_path)
    with browser_page.expect_download() as download:
        viewer.get_by_role("button", name="Save PNG").click()
    saved = Image.open(download.value.path()).convert("RGB")
    drawn = viewer.locator("svg.circuit").bounding_box()
    assert saved.size == (2 * (drawn["width"] + 32), 2 * (drawn["height"] + 32))
    colors = {color for _, color in saved.getcolors(10**7)}
    assert any(blue > red + 60 for red, _, blue in colors)  # edges for the target
    assert any(red > blue + 60 for red, _, blue in colors)  # and against it


def test_a_saved_circuit_is_one_file_that_fetches_nothing(tmp_path):
    text = CircuitGraph.of(graph().top(9)).save(tmp_path / "circuit.html").read_text()
    assert "default-src 'none'" in text and "<vt-circuit-graph" in text
    assert "<iframe" in CircuitGraph.of(graph().top(9))._repr_html_()
