"""A viewer or a page as a notebook shows it: in a sandboxed frame, as high as what it shows."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import UNREADY, next_frame, number, point_at
from tests.view.test_circuit_graph import graph as circuit_graph
from vitreous.view import (
    AttentionGallery,
    Bars,
    CircuitGraph,
    Curve,
    HeadCards,
    HeadMap,
    HeatMap,
    ImageGrid,
    Page,
    PatchLens,
    PatchStrip,
    Section,
    SourceShares,
    Table,
)

NAMES = [f"label {i}" for i in range(10)]
TOKENS = synthetic.token_map(8, 8)
VALUES = np.random.default_rng(5).normal(size=(4, 4)).astype(np.float32)
VIEWERS = {
    "gallery": AttentionGallery(synthetic.picture(), TOKENS, synthetic.scores(TOKENS, 4, 4)),
    "lens": PatchLens(
        synthetic.picture(),
        TOKENS,
        synthetic.lens_logits(TOKENS, 5, 10),
        [f"layer {i}" for i in range(5)],
        NAMES,
    ),
    "bars": Bars(NAMES, VALUES.ravel()[:10], total="sum", caption="By label", unit="logits"),
    "heat map": HeatMap(VALUES, caption="By head", unit="logits"),
    "lens of few labels": PatchLens(
        synthetic.picture(),
        TOKENS,
        synthetic.lens_logits(TOKENS, 13, 2),
        [f"block {i}" for i in range(13)],
        NAMES[:2],
        ["🐱", "🐶"],
        readout=synthetic.lens_logits(TOKENS, 13, 2)[:, 0],
    ),
    "shares": SourceShares(synthetic.picture(), TOKENS, VALUES[:, :, None] * np.ones(65)),
    "whiskers": Bars(NAMES, VALUES.ravel()[:10], intervals=np.zeros((10, 2)), caption="By label"),
    "sums": HeatMap(VALUES, caption="By head", unit="logits", totals=True),
    "grid": ImageGrid(synthetic.picture(), TOKENS),
    "cards": HeadCards(
        [HeadMap("by offset", np.abs(np.resize(VALUES, (4, 4, 15, 15))), "offsets")],
        {(0, 1): ["corner head, 0.93", "edges head, 0.51"]},
    ),
    "one card": HeadCards([HeadMap("on patches", np.ones((4, 4, 8, 8)))], {}, heads=[(1, 2)]),
    "strip": PatchStrip(
        [synthetic.picture()] * 5,
        TOKENS,
        [f"image {i}, r3c4: 0.12" for i in range(5)],
        np.abs(np.resize(VALUES, (5, 65))),
        [7] * 5,
        "attention",
        "Patches",
    ),
    "circuit": CircuitGraph.of(circuit_graph(4, 4).top(24), unit="logits"),
    "all edges": CircuitGraph.of(circuit_graph(2, 3)),
    "table": Table(
        ["head", "effect", "role", "is read by"],
        [
            [f"L0H{i}", i - 1.5, "writes the answer, passes on what it read", "MLP 1"]
            for i in range(6)
        ],
        caption="Heads",
    ),
    "curve": Curve(np.array([1.0, 10, 100]), np.array([0.0, 0.4, 1]), list("abc"), caption="Size"),
    "plain strip": PatchStrip([synthetic.picture()] * 8, TOKENS, ["image 1: 0.12"] * 8),
}


def embed(browser, shown, folder, width=736):
    """The frame of a viewer or a page, in a notebook's column of this width."""
    path = folder / "notebook.html"
    column = f"<div style='width: {width}px'>{shown._repr_html_()}</div>"
    path.write_text(f"<!doctype html><title>notebook</title>{column}")
    browser.set_viewport_size({"width": 1280, "height": 1600})
    browser.goto(path.as_uri())
    frame = browser.frames[1]
    frame.wait_for_selector(UNREADY, state="detached")
    next_frame(frame)
    return frame


def heights(frame):
    """Of the frame, and of what stands in it."""
    return frame.evaluate(
        "() => [window.innerHeight, document.body.getBoundingClientRect().height]"
    )


def test_pointing_inside_of_the_frame_reads_the_tensor(browser_page, tmp_path):
    made = VIEWERS["gallery"]
    viewer = embed(browser_page, made, tmp_path).locator(made.tag)
    point_at(viewer, 6, 2, 8, 8)
    pattern = softmax(made.scores[0, 0, 1 + 6 * 8 + 2].astype(float))
    key, value = viewer.locator(".top-keys li").first.inner_text().split()
    assert key == TOKENS.names[pattern.argmax()]
    assert number(value) == pytest.approx(pattern.max(), rel=5e-3)


def test_a_saved_viewer_reads_the_tensor_too(browser_page, tmp_path):
    browser_page.goto(VIEWERS["heat map"].save(tmp_path / "map.html").as_uri())
    browser_page.locator("td").nth(2 * 4 + 3).hover()
    name, value = browser_page.locator(".readout-line").inner_text().split(": ")
    assert name == "layer 2, head 3"
    assert number(value) == pytest.approx(VALUES[2, 3], abs=5e-5 + 1e-7)


@pytest.mark.parametrize("width", [390, 600, 736, 1100])
@pytest.mark.parametrize("name", VIEWERS)
def test_a_viewers_frame_is_as_high_as_the_viewer(browser_page, tmp_path, name, width):
    frame, content = heights(embed(browser_page, VIEWERS[name], tmp_path, width))
    assert content <= frame < 1.15 * content + 20


@pytest.mark.parametrize("width", [390, 736])
def test_many_heads_and_tokens_have_room_too(browser_page, tmp_path, width):
    tokens = synthetic.token_map(4, 8, ("cls", "reg0", "reg1", "reg2", "reg3"))
    scores = synthetic.scores(tokens, 12, 12)
    gallery = AttentionGallery(synthetic.picture(64, 128), tokens, scores)
    frame, content = heights(embed(browser_page, gallery, tmp_path, width))
    assert content <= frame < 1.15 * content + 20


def test_a_frame_keeps_its_height_while_one_points_at_patches(browser_page, tmp_path):
    frame = embed(browser_page, VIEWERS["gallery"], tmp_path, 390)
    viewer = frame.locator("vt-attention-gallery")
    for row, column in [(0, 0), (4, 7), (7, 3)]:
        point_at(viewer, row, column, 8, 8)
        room, content = heights(frame)
        assert content <= room


def test_a_small_page_is_as_high_as_its_views_stand_side_by_side(browser_page, tmp_path):
    views = [VIEWERS["bars"], VIEWERS["heat map"]]
    page = Page("A page", [Section("A section", views, "A lede", columns=(1, 1))])
    frame, content = heights(embed(browser_page, page, tmp_path))
    assert content <= frame < 1.15 * content + 20


def test_a_long_page_scrolls_inside_of_the_notebooks_window(browser_page, tmp_path):
    frame, content = heights(embed(browser_page, synthetic.page(), tmp_path))
    assert frame == pytest.approx(0.9 * 1600, abs=1) and content > frame


@pytest.mark.parametrize(("width", "side_by_side"), [(736, True), (640, True), (600, False)])
def test_gallery_and_picture_stand_side_by_side_in_a_text_column(
    browser_page, tmp_path, width, side_by_side
):
    frame = embed(browser_page, VIEWERS["gallery"], tmp_path, width)
    gallery = frame.locator(".gallery").bounding_box()
    side = frame.locator(".side").bounding_box()
    assert (side["x"] >= gallery["x"] + gallery["width"]) == side_by_side
    assert (side["y"] >= gallery["y"] + gallery["height"]) != side_by_side


def test_twelve_heads_need_no_scrolling_in_a_text_column(browser_page, tmp_path):
    gallery = AttentionGallery(synthetic.picture(), TOKENS, synthetic.scores(TOKENS, 2, 12))
    scroller = embed(browser_page, gallery, tmp_path).locator(".gallery .scroller")
    assert scroller.evaluate("(box) => box.scrollWidth - box.clientWidth") == 0
