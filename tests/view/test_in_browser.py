"""What a reader sees is what the tensor says."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, pixels, point_at
from vitreous.view import (
    AttentionGallery,
    Bars,
    HeatMap,
    ImageGrid,
    Page,
    PatchLens,
    Picture,
    Section,
)

GRID = (8, 8)
NAMES = [f"label {i}" for i in range(10)]


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def lens(special=("cls",), rows=8, columns=8, followed=()):
    tokens = synthetic.token_map(rows, columns, special)
    logits = synthetic.lens_logits(tokens, 5, 10)
    layers = ["embedding", *(f"block {layer}" for layer in range(4))]
    shape = (16 * rows, 16 * columns)
    return PatchLens(synthetic.picture(*shape), tokens, logits, layers, NAMES, None, followed)


def gallery(special=("cls",), rows=8, columns=8):
    tokens = synthetic.token_map(rows, columns, special)
    picture = synthetic.picture(16 * rows, 16 * columns)
    return AttentionGallery(picture, tokens, synthetic.scores(tokens, 4, 4))


def set_layer(viewer, layer):
    slider = viewer.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    for _ in range(layer):
        slider.press("ArrowRight")
    next_frame(viewer.page)


def said(viewer):
    """(label, probability, logit) of each line of a lens's readout."""
    lines = viewer.locator(".says tbody tr").all()
    cells = [
        [line.locator("th").inner_text(), *line.locator(".number").all_inner_texts()]
        for line in lines
    ]
    return [(name, number(probability), number(logit)) for name, probability, logit in cells]


def test_the_page_opens_from_disk_with_every_viewer(browser_page, tmp_path):
    open_page(browser_page, synthetic.page(), tmp_path)
    assert browser_page.locator("[data-ready]").count() == 6


@pytest.mark.parametrize("layer", [0, 2, 4])
def test_the_lens_reads_out_the_patch_under_the_cursor(browser_page, tmp_path, layer):
    made = lens()
    viewer = show(browser_page, made, tmp_path)
    set_layer(viewer, layer)
    point_at(viewer, 3, 5, *GRID)
    logits = made.logits[layer, 1 + 3 * 8 + 5]
    order = np.argsort(-logits)[:3]
    for (name, probability, logit), label in zip(said(viewer), order, strict=True):
        assert name == NAMES[label]
        assert probability == pytest.approx(softmax(logits.astype(float))[label], rel=5e-3)
        assert logit == pytest.approx(logits[label], abs=0.005 + 1e-6)


def test_the_slider_repaints_the_patches(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    set_layer(viewer, 0)
    first = pixels(viewer)
    set_layer(viewer, 4)
    assert pixels(viewer) != first


def test_pointing_at_a_patch_marks_it(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    before = pixels(viewer, ".marks")
    point_at(viewer, 2, 2, *GRID)
    assert pixels(viewer, ".marks") != before


def test_a_held_patch_stays_in_the_readout_while_the_slider_moves(browser_page, tmp_path):
    made = lens()
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 6, 1, *GRID)
    viewer.locator(".patch-picture").click(position=spot(viewer, 6, 1))
    set_layer(viewer, 1)
    assert viewer.locator(".readout h3").inner_text() == "Patch row 6, column 1, block 0"
    assert said(viewer)[0][0] == NAMES[made.logits[1, 1 + 6 * 8 + 1].argmax()]


def spot(viewer, row, column):
    box = viewer.locator(".patch-picture").bounding_box()
    return {"x": box["width"] * (column + 0.5) / 8, "y": box["height"] * (row + 0.5) / 8}


def test_arrow_keys_walk_over_the_patches(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.locator(".patch-picture").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        browser_page.keyboard.press(key)
    next_frame(browser_page)
    assert viewer.locator(".readout h3").inner_text() == "Patch row 1, column 1, block 3"


def test_the_class_token_has_its_label_at_every_layer(browser_page, tmp_path):
    made = lens()
    viewer = show(browser_page, made, tmp_path)
    strip = viewer.locator(".timeline tbody tr").first.locator(".moment").all_inner_texts()
    assert strip == [NAMES[label] for label in made.logits[:, 0].argmax(-1)]


def test_coloring_by_a_label_marks_its_own_value(browser_page, tmp_path):
    made = lens(followed=(4,))
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label("logit", exact=True).check(force=True)
    viewer.locator("select").select_option("0")
    low, high = made.logits[..., 4].min(), made.logits[..., 4].max()
    shown = viewer.locator(".legend-numbers span").all_inner_texts()
    assert number(shown[0]) == pytest.approx(low, abs=0.006)
    assert number(shown[2]) == pytest.approx(high, abs=0.006)


@pytest.mark.parametrize("by", ["probability", "logit"])
def test_the_mark_on_the_scale_is_the_value_under_the_cursor(browser_page, tmp_path, by):
    made = lens(followed=(4,))
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(by, exact=True).check(force=True)
    viewer.locator("select").select_option("0")
    point_at(viewer, 5, 5, *GRID)
    values = made.logits[..., 4] if by == "logit" else softmax(made.logits, axis=-1)[..., 4]
    low, high = (values.min(), values.max()) if by == "logit" else (0, 1)
    needle = viewer.locator(".legend-needle").evaluate("(needle) => parseFloat(needle.style.left)")
    part = (values[4, 1 + 5 * 8 + 5] - low) / (high - low)
    assert needle == pytest.approx(100 * part, abs=0.01)


@pytest.mark.parametrize("kind", ["pattern", "scores"])
def test_the_gallery_reads_out_the_key_under_the_cursor(browser_page, tmp_path, kind):
    made = gallery()
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label(kind, exact=True).check(force=True)
    viewer.get_by_role("button", name="layer 2, head 1").click()
    viewer.locator(".patch-picture").click(position=spot(viewer, 4, 4))
    point_at(viewer, 3, 6, *GRID)
    scores = made.scores[2, 1, 1 + 4 * 8 + 4].astype(float)
    expected = (softmax(scores) if kind == "pattern" else scores)[1 + 3 * 8 + 6]
    shown = viewer.locator(".hint").inner_text()
    assert shown.startswith("Patch row 4, column 4 → patch row 3, column 6: ")
    assert number(shown.split(": ")[1]) == pytest.approx(expected, rel=6e-3, abs=6e-4)


def test_pointing_at_a_patch_looks_from_there(browser_page, tmp_path):
    made = gallery()
    viewer = show(browser_page, made, tmp_path)
    before = pixels(viewer)
    point_at(viewer, 6, 2, *GRID)
    assert pixels(viewer) != before
    assert viewer.locator(".stage h3").inner_text().endswith("where patch row 6, column 2 looks")
    pattern = softmax(made.scores[0, 0, 1 + 6 * 8 + 2].astype(float))
    key, value = viewer.locator(".top-keys li").first.inner_text().split()
    assert key == made.tokens.names[pattern.argmax()]
    assert number(value) == pytest.approx(pattern.max(), rel=5e-3)


def test_who_looks_at_a_token_is_a_column_of_the_pattern(browser_page, tmp_path):
    made = gallery()
    viewer = show(browser_page, made, tmp_path)
    viewer.get_by_label("is looked at by").check(force=True)
    point_at(viewer, 1, 1, *GRID)
    column = softmax(made.scores[0, 0].astype(float), axis=-1)[:, 1 + 8 + 1]
    query, value = viewer.locator(".top-keys li").first.inner_text().split()
    assert query == made.tokens.names[column.argmax()]
    assert number(value) == pytest.approx(column.max(), rel=5e-3)


def test_the_class_token_and_registers_can_be_pointed_at(browser_page, tmp_path):
    viewer = show(browser_page, gallery(special=("cls", "reg0")), tmp_path)
    viewer.get_by_role("button", name="register 0").hover()
    next_frame(browser_page)
    assert viewer.locator(".stage h3").inner_text() == "Layer 0, head 0: where register 0 looks"


def test_arrow_keys_walk_over_the_heads(browser_page, tmp_path):
    viewer = show(browser_page, gallery(), tmp_path)
    viewer.locator(".thumbnail").first.focus()
    browser_page.keyboard.press("ArrowRight")
    browser_page.keyboard.press("ArrowDown")
    next_frame(browser_page)
    assert viewer.locator(".stage h3").inner_text().startswith("Layer 1, head 1:")


def test_models_without_a_class_token_start_at_a_patch(browser_page, tmp_path):
    viewer = show(browser_page, gallery(special=()), tmp_path)
    assert viewer.locator(".stage h3").inner_text().endswith("where patch row 4, column 4 looks")
    assert viewer.locator(".chip").count() == 0


def test_grids_need_not_be_square(browser_page, tmp_path):
    made = lens(rows=3, columns=7)
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 2, 6, 3, 7)
    assert viewer.locator(".readout h3").inner_text().startswith("Patch row 2, column 6")
    assert said(viewer)[0][0] == NAMES[made.logits[4, 1 + 2 * 7 + 6].argmax()]


def test_the_heat_map_reads_out_the_cell_under_the_cursor(browser_page, tmp_path):
    values = np.random.default_rng(3).normal(size=(3, 12)).astype(np.float32)
    made = HeatMap(values, [str(i) for i in range(3)], [str(i) for i in range(12)])
    viewer = show(browser_page, made, tmp_path)
    viewer.locator("td").nth(2 * 12 + 7).hover()
    name, value = viewer.locator(".readout-line").inner_text().split(": ")
    assert name == "layer 2, head 7"
    assert number(value) == pytest.approx(values[2, 7], abs=5e-5 + 1e-7)


def test_the_heat_map_is_centered_at_zero(browser_page, tmp_path):
    made = HeatMap(np.array([[-0.5, 2.0]], np.float32), ["0"], ["0", "1"])
    viewer = show(browser_page, made, tmp_path)
    assert viewer.locator(".legend-numbers span").all_inner_texts() == ["−2.00", "0", "+2.00"]


def test_bars_print_their_numbers_and_their_sum(browser_page, tmp_path):
    made = Bars(["a", "b"], np.array([1.25, -3.5], np.float32), total="sum")
    viewer = show(browser_page, made, tmp_path)
    assert viewer.locator(".number").all_inner_texts() == ["+1.250", "−3.500", "−2.2500"]


def test_the_patch_under_the_cursor_is_named(browser_page, tmp_path):
    made = ImageGrid(synthetic.picture(), synthetic.token_map(8, 8))
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, 7, 0, *GRID)
    assert viewer.locator(".readout-line").inner_text() == "Patch row 7, column 0"


@pytest.mark.parametrize(
    "label",
    [
        "<script>document.title='gone'</script>",
        "\"quoted\" & 'single'",
        "🐱 cat",
        "قطة",
        "</script>",
    ],
)
def test_any_label_shows_as_text(browser_page, tmp_path, label):
    viewer = show(browser_page, Bars([label], np.ones(1, np.float32)), tmp_path)
    assert viewer.locator("bdi").inner_text() == label
    assert browser_page.title() == "A page"


@pytest.mark.parametrize("name", ["<script>document.title='gone'</script>", 'قطة 🐱 & "q"'])
def test_any_name_shows_as_text_in_a_heat_map(browser_page, tmp_path, name):
    axes = {"row_axis": name, "column_axis": name, "unit": name, "ends": (name, name)}
    made = HeatMap(np.eye(2), [name] * 2, [name] * 2, caption=name, totals=True, **axes)
    viewer = show(browser_page, made, tmp_path)
    viewer.locator("td").first.hover()
    assert viewer.locator("tbody bdi").first.inner_text() == name
    assert viewer.locator("caption").inner_text() == name
    assert viewer.locator(".readout-line").inner_text().startswith(f"{name} {name}, {name} {name}")
    assert browser_page.title() == "A page"


def test_the_theme_follows_the_system_and_the_toggle(browser_page, tmp_path):
    browser_page.emulate_media(color_scheme="dark")
    viewer = show(browser_page, lens(), tmp_path)
    dark = pixels(viewer)
    toggle = browser_page.locator("[data-theme-toggle]")
    toggle.click()
    assert toggle.inner_text() == "Theme: light"
    assert pixels(viewer) != dark
    background = browser_page.evaluate(
        "() => getComputedStyle(document.documentElement).backgroundColor"
    )
    assert background == "rgb(252, 252, 250)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sequential_colors_are_ordered_by_lightness(browser_page, tmp_path, scheme):
    browser_page.emulate_media(color_scheme=scheme)
    show(browser_page, Bars(["a"], np.ones(1, np.float32)), tmp_path)
    lightness = browser_page.evaluate(
        """async () => {
          const { color, lightness } = await import("vitreous/colors.js");
          return Array.from({ length: 256 }, (_, i) => lightness(color("sequential", i / 255)));
        }"""
    )
    steps = np.diff(lightness) * (1 if scheme == "dark" else -1)
    assert steps.min() > -0.004 and abs(lightness[-1] - lightness[0]) > 0.6
    assert steps.max() < 4 * steps.mean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_diverging_colors_are_as_light_on_either_side(browser_page, tmp_path, scheme):
    browser_page.emulate_media(color_scheme=scheme)
    show(browser_page, Bars(["a"], np.ones(1, np.float32)), tmp_path)
    lightness = browser_page.evaluate(
        """async () => {
          const { color, lightness } = await import("vitreous/colors.js");
          return Array.from({ length: 255 }, (_, i) => lightness(color("diverging", i / 254)));
        }"""
    )
    assert np.abs(np.array(lightness) - lightness[::-1]).max() < 0.06


def test_a_cat_is_drawn_like_any_other_emoji(browser_page, tmp_path):
    """Some text fonts have a cat, in black and white; a variation selector asks for the color."""
    show(browser_page, Bars(["a"], np.ones(1, np.float32)), tmp_path)
    plain, selected = browser_page.evaluate(
        """async () => {
          const family = getComputedStyle(document.body).fontFamily;
          await document.fonts.load(`40px ${family}`, "🐱");
          return ["🐱", "🐱\\ufe0f"].map((text) => {
            const context = document.createElement("canvas").getContext("2d");
            context.font = `40px ${family}`;
            context.fillText(text, 0, 50);
            return context.canvas.toDataURL();
          });
        }"""
    )
    assert plain == selected


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (4, 12), (100, 3)])
def test_the_pixels_of_a_small_picture_stay_sharp_and_of_one_size(
    browser_page, tmp_path, rows, columns
):
    shades = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    tokens = synthetic.token_map(rows, columns)
    viewer = show(browser_page, ImageGrid(Picture.of(shades), tokens), tmp_path)
    browser_page.wait_for_selector(".patch-picture img[src^='data:image/png']")
    width, data = viewer.locator(".patch-picture img").evaluate(
        """async (image) => {
          await image.decode();
          const canvas = document.createElement("canvas");
          canvas.width = image.naturalWidth;
          canvas.height = image.naturalHeight;
          canvas.getContext("2d").drawImage(image, 0, 0);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [canvas.width, Array.from(data)];
        }"""
    )
    times = width // columns
    assert max(rows, columns) * times >= 960
    seen = np.array(data, np.uint8).reshape(rows, times, columns, times, 4)[..., :3]
    assert (seen == shades[:, None, :, None]).all()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_screen(browser_page, tmp_path, width):
    browser_page.set_viewport_size({"width": width, "height": 800})
    open_page(browser_page, synthetic.page(), tmp_path)
    assert browser_page.evaluate("() => document.documentElement.scrollWidth") == width


def test_a_notebook_frame_draws_its_viewers(browser_page, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title>{synthetic.page()._repr_html_()}")
    browser_page.goto(path.as_uri())
    frame = browser_page.frame_locator("iframe")
    frame.locator("vt-attention-gallery[data-ready]").wait_for(state="attached")
    assert frame.locator("[data-ready]").count() == 6


def test_paper_is_white_whatever_the_theme(browser_page, tmp_path):
    browser_page.emulate_media(color_scheme="dark")
    viewer = show(browser_page, lens(), tmp_path)
    dark = pixels(viewer)
    browser_page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert pixels(viewer) != dark
    assert set(pixels(viewer, ".marks")[3::4]) == {255}  # one opaque layer, whatever prints it
    browser_page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert pixels(viewer) == dark
