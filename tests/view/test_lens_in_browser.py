"""The emoji lens under real pointers and keys: what is shown is what the tensor says."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import rankdata

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, pixels, point_at
from vitreous.view import Page, PatchLens, Section, TopLogits

LAYERS = ["embedding", "block 0", "block 1", "block 2", "block 3"]
NAMES = [f"label {i}" for i in range(10)]
COLORS = [f"#{20 * i:02x}80{255 - 20 * i:02x}" for i in range(10)]
NASTY = ["<script>document.title='gone'</script>", "\"quoted\" & 'single'", "🐱 cat", "قطة"]
TOKENS = synthetic.token_map(8, 8)
LOGITS = synthetic.lens_logits(TOKENS, 5, 10)


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def lens(logits=LOGITS, layers=LAYERS, tokens=TOKENS, labels=NAMES, **more):
    more = {"followed": (4, 1), "colors": COLORS} | more
    return PatchLens(synthetic.picture(), tokens, logits, layers, labels, **more)


def click(viewer, row, column, count=8):
    box = viewer.locator(".patch-picture").first.bounding_box()
    side = box["width"] / count
    at = {"x": side * (column + 0.5), "y": side * (row + 0.5)}
    viewer.locator(".patch-picture").first.click(position=at)
    next_frame(viewer.page)


def layer_shown(viewer):
    return viewer.locator(".readout h3").inner_text().split(", ")[-1]


def test_a_clicked_patch_shows_the_ranks_of_labels_over_the_layers(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    click(viewer, 6, 1)
    browser_page.mouse.move(0, 0)
    ranks = rankdata(-LOGITS[:, 1 + 6 * 8 + 1], axis=-1).astype(int)
    lines = viewer.locator(".courses tr:not(.group):has(.rank)").all()
    assert [line.locator("th").inner_text() for line in lines[:2]] == [NAMES[4], NAMES[1]]
    for line in lines:
        label = NAMES.index(line.locator("th").inner_text())
        assert line.locator(".rank").all_inner_texts() == [str(rank) for rank in ranks[:, label]]


@pytest.mark.parametrize("by", ["probability", "logit"])
def test_the_course_of_a_label_is_drawn_to_scale(browser_page, tmp_path, by):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label(by, exact=True).check(force=True)
    values = LOGITS[:, 0] if by == "logit" else softmax(LOGITS[:, 0].astype(float), axis=-1)
    line = viewer.locator('.chart g[data-label="4"] polyline').get_attribute("points")
    heights = [float(point.split(",")[1]) for point in line.split()]
    low, high = (number(viewer.locator(".tick").nth(i).inner_text()) for i in (1, 0))
    shown = low + (132 - 8 - np.array(heights)) / (132 - 16) * (high - low)
    assert shown == pytest.approx(values[:, 4], abs=0.06 if by == "logit" else 0.001)


def test_coloring_by_class_paints_each_patch_in_its_label_s_color(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("class", exact=True).check(force=True)
    paint = viewer.locator(".patch-picture .paint").evaluate(
        """(c) => Array.from({ length: 64 }, (_, i) => Array.from(c.getContext("2d").getImageData(
          ((i % 8) + 0.5) * c.width / 8, (Math.floor(i / 8) + 0.5) * c.height / 8, 1, 1).data))"""
    )
    best = LOGITS[4, 1:].argmax(-1)
    assert paint == [[20 * label, 128, 255 - 20 * label, 255] for label in best.tolist()]


def test_the_legend_counts_the_classes_on_the_patches(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("class", exact=True).check(force=True)
    viewer.locator("thead th", has_text="block 0").click()
    next_frame(browser_page)
    label, count = np.unique(LOGITS[1, 1:].argmax(-1), return_counts=True)
    order = sorted(zip(-count, label, strict=True))
    shown = viewer.locator(".classes button").all_inner_texts()
    assert shown == [f"{NAMES[label]}{-count}" for count, label in order]


def test_a_class_can_be_put_in_the_light(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("class", exact=True).check(force=True)
    first = viewer.locator(".classes button").first
    many = int(first.locator(".count").inner_text())
    first.click()
    next_frame(browser_page)
    painted = sum(1 for alpha in pixels(viewer)[3::4] if alpha) / (len(pixels(viewer)) / 4)
    assert painted == pytest.approx(many / 64, abs=0.01)
    assert first.get_attribute("aria-pressed") == "true"


def test_play_walks_to_the_last_layer_and_stops(browser_page, tmp_path):
    browser_page.clock.install()
    viewer = show(browser_page, lens(), tmp_path)
    button = viewer.locator(".play")
    button.focus()
    browser_page.keyboard.press("Enter")
    seen = [viewer.locator("input[type=range]").input_value()]
    assert button.get_attribute("aria-label") == "Pause at this layer"
    for _ in range(5):
        browser_page.clock.run_for(800)
        seen.append(viewer.locator("input[type=range]").input_value())
    assert seen == ["0", "1", "2", "3", "4", "4"]
    assert button.get_attribute("aria-label") == "Play through the layers"


def test_moving_the_slider_ends_the_walk(browser_page, tmp_path):
    browser_page.clock.install()
    viewer = show(browser_page, lens(), tmp_path)
    viewer.locator(".play").click()
    viewer.locator("input[type=range]").press("ArrowRight")
    browser_page.clock.run_for(5000)
    assert viewer.locator("input[type=range]").input_value() == "1"


def test_with_less_motion_each_press_is_one_layer(browser_page, tmp_path):
    browser_page.clock.install()
    browser_page.emulate_media(reduced_motion="reduce")
    viewer = show(browser_page, lens(), tmp_path)
    button = viewer.get_by_role("button", name="Next layer")
    for expected in "01":
        button.click()
        browser_page.clock.run_for(5000)
        assert viewer.locator("input[type=range]").input_value() == expected


def test_all_layers_stand_side_by_side(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("all at once").check(force=True)
    next_frame(browser_page)
    assert viewer.locator(".multiples figcaption").all_inner_texts() == LAYERS
    for layer, picture in enumerate(viewer.locator(".multiples .patch-picture").all()):
        label, count = np.unique(LOGITS[layer, 1:].argmax(-1), return_counts=True)
        summary = f"{count.max()} of 64 patches say {NAMES[label[count.argmax()]]}"
        assert picture.get_attribute("aria-label") == f"{LAYERS[layer]}: {summary}"


def test_a_patch_of_one_layer_is_ringed_in_all(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("all at once").check(force=True)
    picture = viewer.locator(".multiples .patch-picture").nth(2)
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] * 5.5 / 8, "y": box["height"] * 3.5 / 8})
    next_frame(browser_page)
    assert viewer.locator(".readout h3").inner_text() == "Patch row 3, column 5, block 1"
    rings = viewer.locator(".multiples .ring").evaluate_all(
        "(rings) => rings.map((ring) => [ring.style.left, ring.style.top])"
    )
    assert rings == [["62.5%", "37.5%"]] * 5


def test_the_whole_head_has_a_row_of_its_own(browser_page, tmp_path):
    readout = -LOGITS[:, 0]
    viewer = show(browser_page, lens(readout=readout), tmp_path)
    row = viewer.locator(".timeline tbody tr", has_text="whole head")
    row.hover()
    next_frame(browser_page)
    assert viewer.locator(".readout h3").inner_text() == "Whole head, block 3"
    said = [NAMES[label] for label in readout.argmax(-1)]
    assert row.locator(".moment").all_inner_texts() == said


def test_an_address_keeps_what_one_sees(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    viewer.get_by_label("class", exact=True).check(force=True)
    click(viewer, 2, 5)
    viewer.locator("thead th", has_text="block 1").click()
    next_frame(browser_page)
    address = browser_page.url
    browser_page.goto("about:blank")
    browser_page.goto(address)
    browser_page.wait_for_selector("[data-ready]")
    next_frame(browser_page)
    assert viewer.locator(".readout h3").inner_text() == "Patch row 2, column 5, block 1"
    assert viewer.get_by_label("class", exact=True).is_checked()


def test_an_address_of_something_else_changes_nothing(browser_page, tmp_path):
    path = Page("A page", [Section("A section", [lens()])]).save(tmp_path / "page.html")
    state = "layer=99&token=nobody&by=%3Cb%3E&of=7&show=emoji&layers=2"
    browser_page.goto(f"{path.as_uri()}#viewer:1?{state}")
    browser_page.wait_for_selector("[data-ready]")
    viewer = browser_page.locator("vt-patch-lens")
    assert viewer.locator(".readout h3").inner_text() == "Class token, block 3"
    assert viewer.get_by_label("names", exact=True).is_checked()


def test_an_address_typed_by_hand_is_followed(browser_page, tmp_path):
    viewer = show(browser_page, lens(), tmp_path)
    browser_page.evaluate("() => { location.hash = '#viewer:1?layer=2&token=r4c4&layers=all'; }")
    next_frame(browser_page)
    assert viewer.locator(".readout h3").inner_text() == "Patch row 4, column 4, block 1"
    assert viewer.locator(".multiples figure").count() == 5


def test_where_a_label_is_not_among_the_highest_its_rank_is_unknown(browser_page, tmp_path):
    viewer = show(browser_page, lens(TopLogits.of(LOGITS, 2)), tmp_path)
    ranks = rankdata(-LOGITS[:, 0], axis=-1).astype(int)[:, 4]
    shown = viewer.locator(".courses tr:has(.rank)").first.locator(".rank").all_inner_texts()
    assert shown == [str(rank) if rank <= 2 else "·" for rank in ranks]


@pytest.mark.parametrize("name", NASTY)
def test_any_label_shows_as_text_in_the_lens(browser_page, tmp_path, name):
    named = lens(labels=[name] * 10, groups=[name] * 10, emoji=None)
    viewer = show(browser_page, named, tmp_path)
    viewer.get_by_label("class", exact=True).check(force=True)
    assert viewer.locator(".says bdi").first.inner_text() == name
    assert viewer.locator(".classes bdi").first.inner_text() == name
    assert viewer.locator(".courses bdi").first.inner_text() == name
    assert browser_page.title() == "A page"


@pytest.mark.parametrize(
    ("rows", "n_layers", "n_labels"), [(1, 1, 1), (1, 3, 2), (32, 2, 10)], ids=str
)
def test_the_smallest_and_the_largest_grid_are_drawn(
    browser_page, tmp_path, rows, n_layers, n_labels
):
    tokens = synthetic.token_map(rows, rows, ())
    logits = synthetic.lens_logits(tokens, n_layers, n_labels)
    made = lens(logits, LAYERS[:n_layers], tokens, NAMES[:n_labels], followed=(), colors=None)
    viewer = show(browser_page, made, tmp_path)
    point_at(viewer, rows - 1, rows - 1, rows, rows)
    assert viewer.locator(".readout h3").inner_text().startswith(f"Patch row {rows - 1}, column")
    assert viewer.locator(".says bdi").first.inner_text() == NAMES[logits[-1, -1].argmax()]


def test_equal_values_everywhere_are_drawn(browser_page, tmp_path):
    viewer = show(browser_page, lens(np.zeros_like(LOGITS)), tmp_path)
    viewer.get_by_label("logit", exact=True).check(force=True)
    assert viewer.locator(".legend-numbers span").first.inner_text() == "0.00"
    assert layer_shown(viewer) == "block 3"
