"""Who told the class token what: the overlay says what the tensor says, and its sums add up."""

import numpy as np
import pytest
import xarray

from tests.view import synthetic
from tests.view.reading import number, open_page, pixels, point_at
from vitreous.view import Bars, HeatMap, Page, Section, SourceShares, TokenMap, unpack

TOKENS = synthetic.token_map(4, 4, ("cls", "reg0"))
SHARES = np.random.default_rng(2).normal(size=(3, 5, 18)).astype(np.float32)
NASTY = ["<script>document.title='gone'</script>", "\"quoted\" & 'single'", "قطة 🐱"]


def shares(values=SHARES, tokens=TOKENS, **more):
    return SourceShares(synthetic.picture(), tokens, values, **more)


def show(browser, viewer, folder):
    open_page(browser, Page("A page", [Section("A section", [viewer])]), folder)
    return browser.locator(viewer.tag)


def hinted(viewer):
    return number(viewer.locator(".side > .readout-line").inner_text().split(": ")[1])


def balance(viewer):
    lines = viewer.locator(".balance div").all()
    pairs = [(line.locator("dt").inner_text(), line.locator("dd").inner_text()) for line in lines]
    return {name: number(value) for name, value in pairs}


def test_the_overlay_starts_with_the_sum_over_all_heads(browser_page, tmp_path):
    viewer = show(browser_page, shares(rest=0.25), tmp_path)
    point_at(viewer, 2, 3, 4, 4)
    assert hinted(viewer) == pytest.approx(SHARES[..., 2 + 2 * 4 + 3].sum(), abs=6e-5)
    total = SHARES.sum(dtype=float)
    shown = balance(viewer)
    assert shown["from the patches"] == pytest.approx(SHARES[..., 2:].sum(dtype=float), abs=6e-5)
    assert shown["from the class token"] == pytest.approx(SHARES[..., 0].sum(), abs=6e-5)
    assert shown["from register 0"] == pytest.approx(SHARES[..., 1].sum(), abs=6e-5)
    assert shown["all heads"] == pytest.approx(total, abs=6e-5)
    assert shown["target"] == pytest.approx(total + 0.25, abs=6e-5)


def test_a_cell_of_the_map_shows_its_head_on_the_picture(browser_page, tmp_path):
    viewer = show(browser_page, shares(), tmp_path)
    viewer.locator(".heat td").nth(1 * 5 + 4).click()
    point_at(viewer, 0, 1, 4, 4)
    assert viewer.locator("h3").inner_text().startswith("Layer 1, head 4: what each token told")
    assert hinted(viewer) == pytest.approx(SHARES[1, 4, 2 + 1], abs=6e-5)
    low, _, high = viewer.locator(".legend-numbers span").all_inner_texts()
    extent = np.abs(SHARES[1, 4]).max()
    assert number(high.split()[0]) == pytest.approx(extent, abs=6e-4)
    assert number(low.split()[1]) == pytest.approx(-extent, abs=6e-4)


def test_the_name_of_a_layer_shows_the_sum_of_its_heads(browser_page, tmp_path):
    viewer = show(browser_page, shares(), tmp_path)
    viewer.get_by_role("button", name="layer 2").click()
    point_at(viewer, 3, 3, 4, 4)
    assert hinted(viewer) == pytest.approx(SHARES[2, :, -1].sum(), abs=6e-5)


def test_one_scale_for_all_heads_ends_at_the_largest_share_of_any(browser_page, tmp_path):
    viewer = show(browser_page, shares(), tmp_path)
    viewer.locator(".heat td").first.click()
    viewer.get_by_label("one for all of its kind").check(force=True)
    browser_page.mouse.move(0, 0)
    high = viewer.locator(".legend-numbers span").last.inner_text()
    assert number(high.split()[0]) == pytest.approx(np.abs(SHARES).max(), abs=6e-4)


def test_keys_walk_over_the_map_and_choose_a_head(browser_page, tmp_path):
    viewer = show(browser_page, shares(), tmp_path)
    viewer.locator(".heat td").first.focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        browser_page.keyboard.press(key)
    browser_page.keyboard.press("Tab")
    point_at(viewer, 0, 0, 4, 4)
    assert hinted(viewer) == pytest.approx(SHARES[1, 1, 2], abs=6e-5)
    assert viewer.locator(".heat td[aria-selected=true]").count() == 1


def test_blue_is_for_orange_against_and_paper_is_zero(browser_page, tmp_path):
    values = np.zeros((1, 1, 18))
    values[0, 0, 2], values[0, 0, 3] = 1.0, -1.0
    viewer = show(browser_page, shares(values), tmp_path)
    browser_page.mouse.move(0, 0)
    data = np.array(pixels(viewer)).reshape(-1, 4)
    side = int(len(data) ** 0.5)
    cells = data.reshape(side, side, 4)[side // 8 :: side // 4, side // 8 :: side // 4]
    plus, minus, zero = cells[0, 0], cells[0, 1], cells[2, 2]
    assert plus[2] > plus[0] + 60 and minus[0] > minus[2] + 60 and np.ptp(zero[:3]) < 8


def test_special_tokens_can_be_pointed_at(browser_page, tmp_path):
    viewer = show(browser_page, shares(), tmp_path)
    viewer.get_by_role("button", name="register 0").focus()
    browser_page.wait_for_timeout(50)
    assert hinted(viewer) == pytest.approx(SHARES[..., 1].sum(), abs=6e-5)


def labeled():
    """As `direct_logit_shares(by="head_and_source")` gives it, with rows that no head wrote."""
    layer, head, source = (axis.ravel() for axis in np.indices(SHARES.shape))
    none = np.full(4, -1)
    rows = {"layer": layer, "head": head, "source": source}
    rows = {name: np.concatenate([none, values]) for name, values in rows.items()}
    values = np.concatenate([[0.5, 1.0, -2.0, 0.25], SHARES.ravel()])
    coords = {name: ("component", column) for name, column in rows.items()}
    return xarray.DataArray(np.stack([-values, values]), dims=("image", "component"), coords=coords)


def test_labeled_shares_find_their_places():
    made = SourceShares.of(labeled(), synthetic.picture(), TOKENS, image=1)
    assert np.array_equal(made.shares, SHARES.astype(float))
    assert made.rest == -0.25
    assert np.allclose(unpack(made.payload()["headSums"]), SHARES.sum(-1), atol=1e-5)


def test_shares_without_sources_are_refused():
    without = labeled().isel(component=slice(0, 4))
    with pytest.raises(ValueError, match="must be divided by head and source token; got"):
        SourceShares.of(without, synthetic.picture(), TOKENS)


def test_shares_need_a_name_for_each_layer_and_head():
    with pytest.raises(ValueError, match="3 layers and 5 heads need as many names; got 2 and 5"):
        shares(layers=["a", "b"])


def test_shares_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="must be finite; got 270 of 270"):
        shares(np.full_like(SHARES, np.nan)).payload()


@pytest.mark.parametrize(
    "name", ["<script>document.title='gone'</script>", "\"q\" & 'q'", "قطة 🐱"]
)
def test_any_name_shows_as_text(browser_page, tmp_path, name):
    special = TokenMap(TOKENS.grid, (name, *TOKENS.names[1:]))
    texts = {"layers": [name] * 3, "heads": [name] * 5, "reader": name, "unit": name}
    viewer = show(browser_page, shares(tokens=special, ends=(name, name), **texts), tmp_path)
    assert viewer.locator("h3").inner_text().endswith(name)
    assert viewer.locator(".chip").first.inner_text() == name
    assert viewer.locator(".heat thead bdi").last.inner_text() == name
    assert viewer.locator(".legend-caption").inner_text() == name
    assert browser_page.title() == "A page"


def test_one_patch_and_one_head_are_drawn(browser_page, tmp_path):
    tokens = synthetic.token_map(1, 1, ())
    viewer = show(browser_page, shares(np.zeros((1, 1, 1)), tokens), tmp_path)
    point_at(viewer, 0, 0, 1, 1)
    assert hinted(viewer) == 0


def test_sums_stand_beside_rows_and_columns(browser_page, tmp_path):
    values = np.array([[1.0, -2.0, 0.5], [0.25, 4.0, 1.0]])
    viewer = show(browser_page, HeatMap(values, totals=True), tmp_path)
    sums = viewer.locator("td.total").all_inner_texts()
    assert [number(text) for text in sums] == [-0.5, 5.25, 1.25, 2.0, 1.5, 4.75]
    viewer.locator("tbody td").nth(2).hover()
    assert viewer.locator(".readout-line").inner_text() == "layer 0, head 2: +0.5000"


def test_whiskers_reach_from_end_to_end(browser_page, tmp_path):
    made = Bars(["a"], np.array([1.0]), intervals=np.array([[0.5, 2.0]]))
    viewer = show(browser_page, made, tmp_path)
    track = viewer.locator(".track").bounding_box()
    whisker = viewer.locator(".whisker").bounding_box()
    assert (whisker["x"] - track["x"]) / track["width"] == pytest.approx(0.625, abs=0.01)
    assert whisker["width"] / track["width"] == pytest.approx(0.375, abs=0.01)
    assert viewer.locator(".interval").inner_text() == "+0.500 to +2.000"
