"""What other attention viewers get wrong: grid, class token, names, scale."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.view import synthetic
from tests.view.reading import next_frame, number, open_page, point_at
from vitreous.view import AttentionGallery, Page, Section, TokenMap


def show(browser, folder, *viewers):
    open_page(browser, Page("A page", [Section("A section", viewers)]), folder)
    return browser.locator(viewers[0].tag)


def gallery(rows, columns, pixels, special=("cls",), seed=0, names=None):
    tokens = synthetic.token_map(rows, columns, special)
    scores = synthetic.scores(tokens, 1, 2, seed)
    return AttentionGallery(synthetic.picture(*pixels), tokens, scores)


def first_key(viewer):
    name, value = viewer.locator(".top-keys li").first.inner_text().split()
    return name, number(value)


@pytest.mark.parametrize(
    ("grid", "pixels"), [((16, 16), 224), ((28, 28), 224), ((24, 24), 336), ((7, 7), 224)]
)
def test_the_last_patch_of_any_patch_size_is_where_it_is_seen(browser_page, tmp_path, grid, pixels):
    made = gallery(*grid, (pixels, pixels))
    viewer = show(browser_page, tmp_path, made)
    point_at(viewer, grid[0] - 1, grid[1] - 1, *grid)
    pattern = softmax(made.scores[0, 0, -1].astype(float))
    key, value = first_key(viewer)
    assert made.tokens.names.index(key) == pattern.argmax()
    assert value == pytest.approx(pattern.max(), rel=0.01)  # two digits of a stepped score
    last = f"where patch row {grid[0] - 1}, column {grid[1] - 1} looks"
    assert viewer.locator(".stage h3").inner_text().endswith(last)


@pytest.mark.parametrize("special", [(), ("cls",), ("cls", "reg0", "reg1")])
def test_only_tokens_that_are_there_take_part(browser_page, tmp_path, special):
    made = gallery(4, 4, (64, 64), special)
    viewer = show(browser_page, tmp_path, made)
    assert viewer.locator(".chip").count() == len(special)
    point_at(viewer, 0, 0, 4, 4)
    pattern = softmax(made.scores[0, 0, len(special)].astype(float))
    assert first_key(viewer)[0] == made.tokens.names[pattern.argmax()]


def test_two_viewers_on_a_page_know_nothing_of_each_other(browser_page, tmp_path):
    made = [gallery(4, 4, (64, 64), seed=seed) for seed in (1, 2)]
    show(browser_page, tmp_path, *made)
    viewers = browser_page.locator("vt-attention-gallery")
    point_at(viewers.nth(1), 3, 2, 4, 4)
    assert viewers.nth(0).locator(".stage h3").inner_text().endswith("where the class token looks")
    pattern = softmax(made[1].scores[0, 0, 1 + 3 * 4 + 2].astype(float))
    assert first_key(viewers.nth(1))[1] == pytest.approx(pattern.max(), rel=6e-3)
    viewers.nth(1).get_by_label("scores", exact=True).check(force=True)
    assert viewers.nth(0).get_by_label("pattern", exact=True).is_checked()
    names = browser_page.locator("[id]").evaluate_all("(all) => all.map((e) => e.id)")
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "name",
    ["<script>document.title='gone'</script>", "`${document.title}`", "\"'", "🐱", "قطة", "</b>"],
)
def test_any_token_name_shows_as_text(browser_page, tmp_path, name):
    plain = synthetic.token_map(2, 2)
    tokens = TokenMap(plain.grid, (name, *plain.names[1:]))
    scores = synthetic.scores(tokens, 1, 1)
    scores[..., 0] = 9
    viewer = show(browser_page, tmp_path, AttentionGallery(synthetic.picture(), tokens, scores))
    assert viewer.locator(".chip").inner_text() == name
    assert viewer.locator(".stage h3").inner_text() == f"Layer 0, head 0: where {name} looks"
    assert viewer.locator(".top-keys .key").first.inner_text() == name
    viewer.get_by_role("button", name="Pin", exact=True).click()
    next_frame(browser_page)
    assert name in viewer.locator(".pin-title span").inner_text()
    assert browser_page.title() == "A page"


def painted(viewer):
    return viewer.locator(".side .paint").evaluate(
        "(c) => Array.from(c.getContext('2d').getImageData(9, 9, 1, 1).data)"
    )


def test_a_weak_head_looks_weak_on_the_scale_of_all_heads(browser_page, tmp_path):
    tokens = synthetic.token_map(4, 4)
    scores = np.zeros((1, 2, 17, 17), np.float32)
    scores[0, 1, :, 1] = 20  # one head all on one patch, the other evenly on all
    viewer = show(browser_page, tmp_path, AttentionGallery(synthetic.picture(), tokens, scores))
    alone = painted(viewer)
    viewer.get_by_label("all heads", exact=True).first.check(force=True)
    next_frame(browser_page)
    among_all = painted(viewer)
    assert sum(alone[:3]) < 250 and sum(among_all[:3]) > 650
    assert viewer.locator(".legend-numbers span").last.inner_text().startswith("1 − ")


@pytest.mark.parametrize("kind", ["pattern", "scores"])
@pytest.mark.parametrize("scale", ["this token", "this head"])
def test_constant_maps_are_numbers(browser_page, tmp_path, kind, scale):
    tokens = synthetic.token_map(4, 4)
    made = AttentionGallery(synthetic.picture(), tokens, np.full((1, 1, 17, 17), 2.5, np.float32))
    viewer = show(browser_page, tmp_path, made)
    viewer.get_by_label(kind, exact=True).check(force=True)
    viewer.get_by_label(scale, exact=True).check(force=True)
    point_at(viewer, 2, 2, 4, 4)
    assert first_key(viewer)[1] == pytest.approx(1 / 17 if kind == "pattern" else 2.5, rel=5e-3)
    assert "NaN" not in viewer.inner_text() and painted(viewer)[3] == 255
    viewer.get_by_label("matrix", exact=True).check(force=True)
    cell = viewer.locator(".matrix .cells").evaluate(
        "(c) => Array.from(c.getContext('2d').getImageData(0, 0, 1, 1).data)"
    )
    assert cell[3] == 255


def test_no_work_grows_with_the_square_of_pairs(browser_page, tmp_path):
    """577 tokens are 333 thousand pairs; a cell each is all that is made of them."""
    tokens = synthetic.token_map(24, 24)
    made = AttentionGallery(synthetic.picture(), tokens, synthetic.scores(tokens, 1, 1))
    viewer = show(browser_page, tmp_path, made)
    sizes = viewer.locator("canvas").evaluate_all("(all) => all.map((c) => c.width * c.height)")
    cells = viewer.locator(".matrix .cells").evaluate("(c) => [c.width, c.height]")
    assert cells == [577, 577] and max(sizes) < 2**20
    assert viewer.locator("*").count() < 200
