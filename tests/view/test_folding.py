"""Sections fold, have addresses, and print."""

import re

import numpy as np
import pytest

from tests.view.reading import UNREADY, next_frame
from vitreous.view import Bars, HeatMap, Page, Section

NAMES = ["First", "Second one?", "Second one?", "<b>قطة</b> & 🐱"]
BARS = Bars(["one"], np.ones(1, np.float32))


def page(names=tuple(NAMES), folded=True, viewer=BARS):
    return Page("A page", [Section(name, [viewer], folded=folded) for name in names])


def go(browser, made, folder, fragment=""):
    browser.goto(made.save(folder / "page.html").as_uri() + fragment)
    browser.wait_for_selector(UNREADY, state="detached")
    next_frame(browser)


def opened(browser):
    return browser.locator("details.fold").evaluate_all("(folds) => folds.map((f) => f.open)")


def test_a_heading_folds_and_unfolds_its_section(browser_page, tmp_path):
    go(browser_page, page(folded=False), tmp_path)
    browser_page.locator("summary").nth(1).click()
    assert opened(browser_page) == [True, False, True, True]
    assert not browser_page.locator("vt-bars").nth(1).is_visible()


@pytest.mark.parametrize("key", ["Enter", " "])
def test_keys_fold_a_section_too(browser_page, tmp_path, key):
    go(browser_page, page(), tmp_path)
    browser_page.locator("summary").first.focus()
    browser_page.keyboard.press(key)
    assert opened(browser_page) == [True, False, False, False]


def test_viewers_of_a_folded_section_are_drawn_when_it_opens(browser_page, tmp_path):
    go(browser_page, page(viewer=HeatMap(np.eye(2))), tmp_path)
    browser_page.locator("summary").nth(2).click()
    browser_page.locator("td").nth(2 * 4).hover()
    assert "+1.0000" in browser_page.locator(".readout-line").nth(2).inner_text()


def test_an_address_opens_its_section_and_goes_there(browser_page, tmp_path):
    go(browser_page, page([f"Section {i}" for i in range(40)]), tmp_path, "#section-section-30")
    assert opened(browser_page).index(True) == 30 and sum(opened(browser_page)) == 1
    top = browser_page.locator("section").nth(30).bounding_box()["y"]
    assert 0 <= top < 600


def test_the_table_of_contents_leads_to_every_section(browser_page, tmp_path):
    go(browser_page, page(), tmp_path)
    links = browser_page.locator(".contents a")
    assert links.all_inner_texts() == NAMES
    for i in range(4):
        links.nth(i).click()
        next_frame(browser_page)
        assert opened(browser_page)[i]


def test_all_sections_fold_and_unfold_at_once(browser_page, tmp_path):
    go(browser_page, page(), tmp_path)
    button = browser_page.locator("[data-fold-all]")
    assert button.inner_text() == "Unfold all"
    button.click()
    assert all(opened(browser_page))
    next_frame(browser_page)
    button.click()
    assert not any(opened(browser_page))


def test_few_sections_need_no_table_of_contents():
    assert "<nav" not in page(NAMES[:3]).html() and "<nav" in page().html()


def test_a_viewer_of_a_folded_section_has_an_address(browser_page, tmp_path):
    go(browser_page, page(), tmp_path, "#viewer:3")
    assert opened(browser_page) == [False, False, True, False]


def test_sections_of_one_title_have_addresses_of_their_own():
    found = re.findall(r'<section id="([^"]+)"', page().html())
    expected = ["section-first", "section-second-one", "section-second-one-2", "section-b-قطة-b"]
    assert found == expected


def test_an_address_of_nothing_is_no_error(browser_page, tmp_path):
    go(browser_page, page(), tmp_path, "#%E0%A4%A")
    assert not any(opened(browser_page))


def test_paper_shows_all_sections_and_no_controls(browser_page, tmp_path):
    go(browser_page, page(), tmp_path)
    browser_page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    browser_page.emulate_media(media="print")
    assert all(opened(browser_page))
    assert browser_page.locator("vt-bars").last.is_visible()
    for hidden in (".theme", ".contents", ".anchor"):
        assert not browser_page.locator(hidden).first.is_visible()
    browser_page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert not any(opened(browser_page))


def test_a_printed_file_has_every_section(browser_page, tmp_path):
    go(browser_page, page([f"Section {i}" for i in range(6)], viewer=HeatMap(np.eye(12))), tmp_path)
    folded = len(browser_page.pdf())
    go(browser_page, Page("A page", []), tmp_path)
    assert folded > 2 * len(browser_page.pdf())


def test_what_folds_is_a_heading_still(browser_page, tmp_path):
    go(browser_page, page(), tmp_path)
    assert browser_page.get_by_role("heading", level=2).count() == 4
