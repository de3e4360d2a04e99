"""Matrix, pins, scales and files of the attention viewer say what the tensor says."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, pixels, point_at
from vitreous.view import AttentionGallery, Page, Picture, Section
from vitreous.view._colors import sequential

GRID = (8, 8)


def gallery(special=("cls",), rows=8, columns=8, heads=None, white=False, start=None):
    tokens = synthetic.token_map(rows, columns, special)
    picture = synthetic.picture(16 * rows, 16 * columns)
    if white:
        picture = Picture.of(np.full((16 * rows, 16 * columns, 3), 255, np.uint8))
    return AttentionGallery(picture, tokens, synthetic.scores(tokens, 3, 4), start, heads)


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def open_matrix(viewer):
    viewer.get_by_label("matrix", exact=True).check(force=True)
    next_frame(viewer.page)


def point_at_cell(viewer, query, key, n_tokens):
    board = viewer.locator(".matrix")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    x, y = box["width"] * (key + 0.5) / n_tokens, box["height"] * (query + 0.5) / n_tokens
    board.hover(position={"x": x, "y": y})
    next_frame(viewer.page)


def pattern(made, layer, head):
    return softmax(made.scores[layer, head].astype(float), axis=-1)


def legend(viewer):
    return [number(text) for text in viewer.locator(".legend-numbers span").all_inner_texts()]


def painted(viewer, row, column, rows=8, columns=8):
    """The color in the middle of a patch."""
    return viewer.locator(".side .patch-picture .paint").evaluate(
        """(canvas, [x, y]) => {
          const { width, height } = canvas;
          const data = canvas.getContext("2d").getImageData(x * width, y * height, 1, 1).data;
          return Array.from(data).slice(0, 3);
        }""",
        [(column + 0.5) / columns, (row + 0.5) / rows],
    )


@pytest.mark.parametrize("way", ["looks at", "is looked at by"])
@pytest.mark.parametrize("kind", ["pattern", "scores"])
def test_the_matrix_reads_out_the_cell_under_the_cursor(browser_page, tmp_path, kind, way):
    made = gallery(start=(2, 1))
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(kind, exact=True).check(force=True)
    viewer.get_by_label(way).check(force=True)
    open_matrix(viewer)
    point_at_cell(viewer, 30, 17, 65)
    expected = (pattern(made, 2, 1) if kind == "pattern" else made.scores[2, 1])[30, 17]
    name, value = viewer.locator(".hint").inner_text().split(": ")
    assert name == "Patch row 3, column 5 → patch row 2, column 0"
    assert number(value) == pytest.approx(expected, rel=6e-3, abs=6e-4)


def test_a_cell_of_the_matrix_shows_its_query_on_the_picture(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    open_matrix(viewer)
    before = pixels(viewer)
    point_at_cell(viewer, 40, 12, 65)
    assert viewer.locator(".stage h3").inner_text().endswith("where patch row 4, column 7 looks")
    assert pixels(viewer) != before


def test_each_pixel_of_the_matrix_is_a_value_of_the_pattern(browser_page, tmp_path):
    made = gallery(rows=3, columns=4, start=(1, 2))
    viewer = show(browser_page, made, tmp_path)
    open_matrix(viewer)
    data = viewer.locator(".matrix .cells").evaluate(
        "(c) => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    seen = np.array(data, dtype=np.uint8).reshape(13, 13, 4)
    values = pattern(made, 1, 2)
    apart = np.abs(seen[..., :3].astype(int) - sequential(values / values.max()))
    assert apart.max() <= 8  # float32 may fall to the next of 256 shades


def test_arrow_keys_walk_over_the_matrix(browser_page, tmp_path):
    made = gallery()
    viewer = show(browser_page, made, tmp_path)
    open_matrix(viewer)
    viewer.locator(".matrix").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        browser_page.keyboard.press(key)
    next_frame(browser_page)
    name, value = viewer.locator(".hint").inner_text().split(": ")
    assert name == "Patch row 0, column 0 → patch row 0, column 1"
    assert number(value) == pytest.approx(pattern(made, 0, 0)[1, 2], rel=6e-3, abs=6e-4)


def test_the_keyboard_holds_the_query_of_a_cell(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    open_matrix(viewer)
    viewer.locator(".matrix").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter", "Tab"):
        browser_page.keyboard.press(key)
    next_frame(browser_page)
    assert viewer.locator(".stage h3").inner_text().endswith("where patch row 0, column 1 looks")
    assert viewer.locator(".hint").inner_text().startswith("Held.")


def test_leaving_the_matrix_returns_to_what_is_held(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    point_at(viewer, 2, 2, *GRID)
    browser_page.mouse.down()
    browser_page.mouse.up()
    open_matrix(viewer)
    point_at_cell(viewer, 40, 12, 65)
    browser_page.mouse.move(1, 1)
    next_frame(browser_page)
    assert viewer.locator(".stage h3").inner_text().endswith("where patch row 2, column 2 looks")


def test_the_panel_that_is_not_shown_takes_no_focus(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    matrix, heads = viewer.locator(".matrix-view"), viewer.locator(".gallery-heads")
    assert matrix.evaluate("(e) => e.inert") and not heads.evaluate("(e) => e.inert")
    open_matrix(viewer)
    assert heads.evaluate("(e) => e.inert") and not matrix.evaluate("(e) => e.inert")


@pytest.mark.parametrize("kind", ["pattern", "scores"])
@pytest.mark.parametrize("scale", ["this token", "this head", "all heads"])
def test_the_legend_spans_what_its_scale_says(browser_page, tmp_path, kind, scale):
    made = gallery(start=(1, 1))
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(kind, exact=True).check(force=True)
    viewer.locator(".controls").first.get_by_label(scale, exact=True).first.check(force=True)
    values = softmax(made.scores.astype(float), axis=-1) if kind == "pattern" else made.scores
    spanned = {"this token": values[1, 1, 0], "this head": values[1, 1], "all heads": values}[scale]
    low, _, high = legend(viewer)
    assert low == pytest.approx(0 if kind == "pattern" else spanned.min(), abs=6e-4)
    assert high == pytest.approx(spanned.max(), rel=6e-3, abs=6e-4)


@pytest.mark.parametrize(("scale", "of"), [("this token", "this head"), ("all heads", "all heads")])
def test_the_matrix_says_what_its_own_colors_span(browser_page, tmp_path, scale, of):
    made = gallery(start=(1, 1))
    viewer = show(browser_page, made, tmp_path)
    viewer.locator(".controls").first.get_by_label(scale, exact=True).first.check(force=True)
    open_matrix(viewer)
    said = viewer.locator(".matrix-view .readout-line").inner_text()
    whole = softmax(made.scores.astype(float), axis=-1)
    high = number(said.split(" to ")[1].split(",")[0])
    assert high == pytest.approx((whole if of == "all heads" else whole[1, 1]).max(), rel=6e-3)
    assert said.endswith(f"all values of {of}.")


def test_pinned_pictures_tell_their_own_value_of_the_patch_under_the_cursor(browser_page, tmp_path):
    made = gallery()
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 4, 4, *GRID)
    browser_page.mouse.down()
    browser_page.mouse.up()
    viewer.get_by_role("button", name="Pin", exact=True).click()
    viewer.get_by_role("button", name="layer 2, head 3").click()
    viewer.get_by_role("button", name="Pin", exact=True).click()
    picture = viewer.locator(".side .patch-picture")
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] * 6.5 / 8, "y": box["height"] * 3.5 / 8})
    next_frame(browser_page)
    query, key = 1 + 4 * 8 + 4, 1 + 3 * 8 + 6
    told = [number(text) for text in viewer.locator(".pin .value").all_inner_texts()]
    expected = [pattern(made, 0, 0)[query, key], pattern(made, 2, 3)[query, key]]
    assert told == pytest.approx(expected, rel=6e-3)


def test_a_pin_stays_while_another_head_is_chosen_and_goes_when_asked(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    viewer.locator(".thumbnail").first.focus()
    browser_page.keyboard.press("p")
    browser_page.keyboard.press("ArrowRight")
    browser_page.keyboard.press("p")
    browser_page.keyboard.press("p")  # pinned already
    next_frame(browser_page)
    titles = viewer.locator(".pin-title span").all_inner_texts()
    assert [title.split(":")[0] for title in titles] == ["Layer 0, head 0", "Layer 0, head 1"]
    viewer.get_by_role("button", name="Unpin Layer 0, head 0").click()
    next_frame(browser_page)
    assert viewer.locator(".pin").count() == 1


def test_masked_keys_have_no_color_and_say_so(browser_page, tmp_path):
    tokens = synthetic.token_map(8, 8)
    scores = synthetic.scores(tokens, 1, 1)
    scores[0, 0, :, 1 + 5 * 8 + 5] = -np.inf
    made = AttentionGallery(synthetic.picture(), tokens, scores)
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label("scores", exact=True).check(force=True)
    viewer.get_by_role("button", name="class token").click()
    point_at(viewer, 5, 5, *GRID)
    said = viewer.locator(".hint").inner_text()
    assert said == "Class token → patch row 5, column 5: masked"
    assert painted(viewer, 5, 5) == [0, 0, 0] and painted(viewer, 5, 4) != [0, 0, 0]
    assert legend(viewer)[0] == pytest.approx(np.delete(scores[0, 0, 0], 46).min(), abs=6e-4)


def test_a_page_of_chosen_heads_holds_only_those(browser_page, tmp_path):
    made = gallery(heads=[(2, 3), (0, 1)])
    viewer = show(browser_page, made, tmp_path)
    assert viewer.locator(".stage h3").inner_text().startswith("Layer 2, head 3:")
    assert viewer.locator(".thumbnail[aria-disabled]").count() == 10
    viewer.get_by_role("button", name="layer 0, head 1").click()
    point_at(viewer, 1, 6, *GRID)
    values = pattern(made, 0, 1)[1 + 8 + 6]
    key, value = viewer.locator(".top-keys li").first.inner_text().split()
    assert key == made.tokens.names[values.argmax()]
    assert number(value) == pytest.approx(values.max(), rel=5e-3)


def test_the_file_shows_the_colors_of_the_pattern(browser_page, tmp_path):
    made = gallery(white=True, start=(1, 0))
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 4, 4, *GRID)
    with browser_page.expect_download() as download:
        viewer.get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename == "attention-L1H0-r4c4.png"
    values = pattern(made, 1, 0)[1 + 4 * 8 + 4]
    data = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))
    for row, column in [(0, 0), (2, 5), (7, 7)]:
        seen = data[64 + 120 * row + 60, 32 + 120 * column + 60].astype(int)
        expected = sequential(np.array(values[1 + 8 * row + column] / values.max()))
        assert np.abs(seen - expected).max() <= 3


def test_a_notebooks_frame_saves_the_file_too(browser_page, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title>{gallery()._repr_html_()}")
    browser_page.goto(path.as_uri())
    frame = browser_page.frame_locator("iframe")
    with browser_page.expect_download() as download:
        frame.get_by_role("button", name="Save PNG").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_an_address_keeps_the_head_and_what_is_held(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    viewer.get_by_label("is looked at by").check(force=True)
    viewer.get_by_role("button", name="layer 2, head 1").click()
    point_at(viewer, 5, 3, *GRID)
    browser_page.mouse.down()
    browser_page.mouse.up()
    before = viewer.locator(".stage h3").inner_text()
    address = browser_page.url
    browser_page.goto("about:blank")
    browser_page.goto(address)
    browser_page.wait_for_selector("vt-attention-gallery[data-ready]")
    assert before == "Layer 2, head 1: who looks at patch row 5, column 3"
    assert viewer.locator(".stage h3").inner_text() == before
    assert viewer.get_by_label("is looked at by").is_checked()


@pytest.mark.parametrize(
    "said", ["layer=9&head=0&token=999", "layer=0&head=9", "layer=x&token=-1&kind=nothing"]
)
def test_an_address_of_another_page_changes_nothing(browser_page, tmp_path, said):
    viewer = show(browser_page, gallery(), tmp_path)
    address = f"{browser_page.url.split('#')[0]}#{viewer.get_attribute('id')}?{said}"
    browser_page.goto("about:blank")
    browser_page.goto(address)
    browser_page.wait_for_selector("vt-attention-gallery[data-ready]")
    assert viewer.locator(".stage h3").inner_text() == (
        "Layer 0, head 0: where the class token looks"
    )


@pytest.mark.parametrize("special", [(), ("cls",)])
def test_a_picture_of_one_patch_is_shown(browser_page, tmp_path, special):
    made = gallery(special=special, rows=1, columns=1)
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 0, 0, 1, 1)
    values = pattern(made, 0, 0)[-1]
    assert number(viewer.locator(".top-keys .value").first.inner_text()) == pytest.approx(
        values.max(), rel=5e-3
    )
    open_matrix(viewer)
    n_tokens = 1 + len(special)
    axes = viewer.locator(".matrix-axes").inner_text()
    assert axes.endswith(f"{n_tokens} × {n_tokens} tokens")


def test_a_grid_of_32_by_32_reads_its_tensor(browser_page, tmp_path):
    made = AttentionGallery(
        synthetic.picture(512, 512),
        tokens := synthetic.token_map(32, 32),
        synthetic.scores(tokens, 1, 2),
    )
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 31, 17, 32, 32)
    values = pattern(made, 0, 0)[1 + 31 * 32 + 17]
    key, value = viewer.locator(".top-keys li").first.inner_text().split()
    assert values[tokens.names.index(key)] == pytest.approx(values.max(), rel=0.01)
    assert number(value) == pytest.approx(values.max(), rel=0.02)


@pytest.mark.parametrize("beside", ["all heads", "matrix"])
def test_a_hover_takes_less_than_a_frame_of_script(browser_page, tmp_path, beside):
    tokens = synthetic.token_map(14, 14)
    made = AttentionGallery(synthetic.picture(), tokens, synthetic.scores(tokens, 12, 12))
    viewer = show(browser_page, made, tmp_path)
    if beside == "matrix":
        open_matrix(viewer)
    times, rows = viewer.evaluate(
        """async (viewer) => {
          const { work } = await import("vitreous/arrays.js");
          const before = work.rows;
          const times = Array.from({ length: 30 }, (_, i) => {
            viewer.point(1 + 6 * i);
            const start = performance.now();
            viewer.draw();
            return performance.now() - start;
          });
          return [times, work.rows - before];
        }"""
    )
    assert rows == 30
    assert min(times) < 16
