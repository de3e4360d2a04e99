import errno
import html
import os
import re

import numpy as np
import pytest

from tests.view import synthetic
from vitreous.view import Bars, Page, Section


def small_page(title: str = "A page") -> Page:
    return Page(title, [Section("Bars", [Bars(["one"], np.ones(1, np.float32))])])


def test_a_page_fetches_nothing():
    text = synthetic.page().html()
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)


def test_data_travels_once_however_many_viewers_show_it():
    text = synthetic.page().html()
    assert text.count('<script type="image/png"') == 1


def test_a_page_brings_only_the_modules_it_needs():
    assert "vitreous/attention-gallery.js" not in small_page().html()


def test_texts_are_escaped():
    nasty = "<script>alert(1)</script>"
    page = Page(nasty, [Section(nasty, [Bars([nasty], np.ones(1))], nasty, nasty)], nasty)
    assert "<script>alert" not in page.html()


def test_saving_returns_the_path_and_leaves_only_the_page(tmp_path):
    path = small_page().save(tmp_path / "page.html")
    assert path.read_text().startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_saved_page_is_as_readable_as_any_new_file(tmp_path):
    (tmp_path / "other").write_text("")
    path = small_page().save(tmp_path / "page.html")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_full_disk_leaves_the_old_page_whole(tmp_path, monkeypatch):
    old = small_page("old").save(tmp_path / "page.html").read_text()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="must be writable; got 'No space left on device'"):
        small_page("new").save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == old
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_page().save(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "nowhere" / "page.html"
    with pytest.raises(
        FileNotFoundError, match=r"nowhere/page\.html` must be writable; got 'No su"
    ):
        small_page().save(path)


def test_an_error_keeps_its_number(tmp_path):
    with pytest.raises(OSError, match="must be writable") as caught:
        small_page().save(tmp_path / "nowhere" / "page.html")
    assert caught.value.errno == errno.ENOENT


def test_a_notebook_shows_the_page_in_a_sandbox():
    assert 'sandbox="allow-scripts allow-downloads"' in small_page()._repr_html_()


def test_a_notebook_shows_the_page_without_its_masthead():
    page = small_page()
    assert "data-theme-toggle" in page.html()
    shown = html.unescape(page._repr_html_())
    assert "<h1" in shown and "data-theme-toggle" not in shown
