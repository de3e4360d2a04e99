"""A page as large as a ViT-B/16's: 197 tokens, 144 heads, 1000 classes."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, point_at
from vitreous.view import AttentionGallery, Page, Section, stepped, unpack

LABELS = tuple(f"class number {i}" for i in range(1000))
WORK = '() => import("vitreous/arrays.js").then(({ work }) => ({ ...work }))'


@pytest.fixture(scope="module")
def large_page():
    return synthetic.page(14, 14, 12, 12, LABELS, None, shape=(224, 224))


def test_it_stays_under_fifteen_megabytes(large_page):
    assert len(large_page.html().encode()) < 15e6


def test_a_hover_decodes_nothing_and_reads_one_row(large_page, browser_page, tmp_path):
    open_page(browser_page, large_page, tmp_path)
    viewer = browser_page.locator("vt-attention-gallery")
    point_at(viewer, 3, 3, 14, 14)
    before = browser_page.evaluate(WORK)
    point_at(viewer, 9, 4, 14, 14)
    after = browser_page.evaluate(WORK)
    assert after["decoded"] == before["decoded"]
    assert after["rows"] == before["rows"] + 1


def test_many_moves_within_a_frame_draw_once(large_page, browser_page, tmp_path):
    open_page(browser_page, large_page, tmp_path)
    viewer = browser_page.locator("vt-attention-gallery")
    point_at(viewer, 0, 0, 14, 14)
    before = browser_page.evaluate(WORK)["rows"]
    viewer.locator(".patch-picture").evaluate(
        """(picture) => {
          const { left, top, width } = picture.getBoundingClientRect();
          for (let i = 1; i < 14; i += 1) {
            const clientX = left + (width * (i + 0.5)) / 14;
            picture.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: top + 5 }));
          }
        }"""
    )
    next_frame(browser_page)
    assert browser_page.evaluate(WORK)["rows"] == before + 1


def test_what_is_shown_is_right_to_the_digits_shown(large_page, browser_page, tmp_path):
    open_page(browser_page, large_page, tmp_path)
    viewer = browser_page.locator("vt-attention-gallery")
    point_at(viewer, 10, 5, 14, 14)
    shown = [line.split() for line in viewer.locator(".top-keys li").all_inner_texts()]
    scores = synthetic.scores(synthetic.token_map(14, 14), 12, 12)[0, 0, 1 + 10 * 14 + 5]
    pattern = softmax(scores.astype(float))
    names = synthetic.token_map(14, 14).names
    for name, value in shown:
        digits = value.replace(".", "").lstrip("0")
        one_in_the_last_place = number(value) / int(digits)
        assert abs(number(value) - pattern[names.index(name)]) <= one_in_the_last_place


def test_it_says_how_coarse_the_steps_are(large_page, browser_page, tmp_path):
    open_page(browser_page, large_page, tmp_path)
    caption = browser_page.locator("vt-attention-gallery .legend-caption").inner_text()
    step = number(caption.split("steps of ")[1].split(" ")[0])
    scores = synthetic.scores(synthetic.token_map(14, 14), 12, 12)
    assert step == pytest.approx(np.ptp(scores, axis=-1).max() / 4094, abs=5e-5)


def test_the_browser_reads_the_steps_as_python_does(browser_page, tmp_path):
    tokens = synthetic.token_map(2, 2)
    values = synthetic.scores(tokens, 110, 100)  # just over a megabyte
    gallery = AttentionGallery(synthetic.picture(), tokens, values)
    open_page(browser_page, Page("A page", [Section("A section", [gallery])]), tmp_path)
    places = [(0, 0, 0), (57, 31, 2), (109, 99, 4)]
    rows = browser_page.locator("vt-attention-gallery").evaluate(
        """({ data }, places) => places.map((place) => Array.from(data.scores.row(...place)))""",
        [[100 * layer + head, query] for layer, head, query in places],
    )
    expected = unpack(stepped(values))
    assert np.array_equal(rows, [expected[place] for place in places])
