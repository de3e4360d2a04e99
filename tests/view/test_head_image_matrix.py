"""The same heads on several images."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, point_at
from vitreous.view import HeadImageMatrix, Page, Section, unpack

TOKENS = synthetic.token_map(4, 6)
SCORES = [synthetic.scores(TOKENS, 2, 3, seed) for seed in range(4)]
PICTURES = [synthetic.picture(64 + 8 * i, 96 + 12 * i) for i in range(4)]


def matrix(**options):
    return HeadImageMatrix.of(PICTURES, TOKENS, iter(SCORES), **options)


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def patterns():
    return softmax(np.stack(SCORES).astype(float), axis=-1)  # image layer head query key


def test_the_maps_are_the_mean_over_queries_and_rows_of_the_pattern():
    maps = matrix(queries=[0, 7]).maps
    assert list(maps) == ["mean over queries", "cls", "r1c0"]
    assert np.allclose(maps["mean over queries"], patterns().mean(-2), atol=1e-6)
    assert np.allclose(maps["r1c0"], patterns()[..., 7, :], atol=1e-6)


def test_only_one_images_scores_are_held_at_a_time():
    living = []

    def stream():
        for scores in SCORES:
            living.append(len(living))
            yield scores

    made = HeadImageMatrix.of(PICTURES, TOKENS, stream())
    assert living == [0, 1, 2, 3] and made.maps["cls"].shape == (4, 2, 3, 25)


def test_alike_is_the_mean_correlation_of_all_pairs():
    made = matrix()
    onto = made.maps["cls"][..., 1:]
    expected = [
        [
            np.mean([np.corrcoef(onto[:, layer, head])[i, j] for i in range(4) for j in range(i)])
            for head in range(3)
        ]
        for layer in range(2)
    ]
    assert np.allclose(made.payload()["alike"][1], expected, atol=1e-6)


def test_a_head_that_looks_at_one_place_is_alike_and_a_constant_one_is_not_defined():
    scores = [each.copy() for each in SCORES]
    for each in scores:
        each[0, 0] = 0.0
        each[0, 1] = 0.0
        each[0, 1, :, 3] = 4.0
    alike = HeadImageMatrix.of(PICTURES, TOKENS, scores).payload()["alike"][0]
    assert alike[0][0] is None and alike[0][1] == pytest.approx(1)


def test_one_image_has_nothing_to_be_alike_to():
    made = HeadImageMatrix.of(PICTURES[:1], TOKENS, SCORES[:1])
    assert made.payload()["alike"][0] == [[None] * 3] * 2


def test_what_travels_is_what_the_maps_say():
    made = matrix()
    assert np.allclose(unpack(made.payload()["maps"][0]), made.maps["mean over queries"], atol=1e-7)


@pytest.mark.parametrize(("choice", "map_"), [("mean over queries", 0), ("class token", 1)])
def test_the_cell_under_the_cursor_reads_its_image_and_head(browser_page, tmp_path, choice, map_):
    made = matrix()
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(choice, exact=True).check(force=True)
    viewer.get_by_role("button", name="layer 1, head 2 on image 3").click()
    next_frame(browser_page)
    point_at(viewer, 2, 4, 4, 6)
    assert viewer.locator(".side h3").inner_text() == "Layer 1, head 2 on image 3"
    name, value = viewer.locator(".side .readout-line").inner_text().split(": ")
    expected = list(made.maps.values())[map_][3, 1, 2, 1 + 2 * 6 + 4]
    assert name == "Patch row 2, column 4" and number(value) == pytest.approx(expected, rel=5e-3)


def test_each_column_shows_its_own_picture(browser_page, tmp_path):
    viewer = show(browser_page, matrix(), tmp_path)
    widths = viewer.locator("thead img").evaluate_all("(all) => all.map((e) => e.naturalWidth)")
    assert widths == [96, 108, 120, 132]
    viewer.get_by_role("button", name="layer 0, head 1 on image 2").click()
    next_frame(browser_page)
    assert viewer.locator(".side .patch-picture").get_attribute("aria-label") == (
        "Attention on image 2"
    )


def test_heads_can_be_ordered_by_what_stays_the_same(browser_page, tmp_path):
    made = matrix()
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label("most alike first").check(force=True)
    shown = [number(text) for text in viewer.locator("tbody .alike").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    alike = made.payload()["alike"][0]
    best = max((alike[layer][head], f"L{layer}H{head}") for layer in range(2) for head in range(3))
    assert viewer.locator("tbody th").first.inner_text() == best[1]


@pytest.mark.parametrize("scale", ["each its own", "per head", "shared"])
def test_scales_span_a_cell_a_row_or_all(browser_page, tmp_path, scale):
    made = matrix()
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(scale, exact=True).check(force=True)
    viewer.get_by_role("button", name="layer 1, head 0 on image 1").click()
    next_frame(browser_page)
    on_patches = made.maps["mean over queries"][..., 1:]
    spanned = {
        "each its own": on_patches[1, 1, 0],
        "per head": on_patches[:, 1, 0],
        "shared": on_patches,
    }[scale]
    low, _, high = viewer.locator(".legend-numbers span").all_inner_texts()
    assert number(low) == 0 and number(high) == pytest.approx(spanned.max(), rel=5e-3)


def test_arrow_keys_walk_over_heads_and_images(browser_page, tmp_path):
    viewer = show(browser_page, matrix(), tmp_path)
    viewer.locator(".thumbnail").first.focus()
    browser_page.keyboard.press("ArrowRight")
    browser_page.keyboard.press("ArrowDown")
    next_frame(browser_page)
    assert viewer.locator(".side h3").inner_text() == "Layer 0, head 1 on image 1"


def test_one_layer_can_be_shown_alone(browser_page, tmp_path):
    viewer = show(browser_page, matrix(), tmp_path)
    viewer.locator("select").select_option("1")
    assert viewer.locator("tbody th").all_inner_texts() == ["L1H0", "L1H1", "L1H2"]


@pytest.mark.parametrize(
    "label", ["<img src=x onerror=alert(1)>", "\"quoted\" & 'single'", "🐱 cat", "قطة"]
)
def test_any_image_label_shows_as_text(browser_page, tmp_path, label):
    viewer = show(browser_page, matrix(labels=[label, "b", "c", "d"]), tmp_path)
    assert viewer.locator("thead bdi").first.inner_text() == label
    assert viewer.locator(".side h3").inner_text() == f"Layer 0, head 0 on {label}"


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_no_wider_than_its_screen(browser_page, tmp_path, width):
    browser_page.set_viewport_size({"width": width, "height": 800})
    show(browser_page, matrix(), tmp_path)
    assert browser_page.evaluate("() => document.documentElement.scrollWidth") == width
