"""Outputs that can't be written, found out before any work."""

import os

import pytest

from vitreous.app import run
from vitreous.app._outputs import writable_file


@pytest.fixture(autouse=True)
def no_model_is_ever_loaded(monkeypatch):
    import vitreous.app._explain

    monkeypatch.setattr(vitreous.app._explain, "load", None)


def refused(arguments, capsys) -> str:
    assert run(arguments) == 2
    printed, line = capsys.readouterr()
    assert printed == ""
    assert line.count("\n") == 1
    return line


def test_a_report_needs_a_folder(tmp_path, capsys):
    line = refused(["explain", "--out", str(tmp_path / "nowhere" / "report.html")], capsys)
    assert f"must lie in a folder; got no `{tmp_path / 'nowhere'}`" in line


def test_a_report_is_no_folder(tmp_path, capsys):
    line = refused(["explain", "--out", str(tmp_path)], capsys)
    assert "must be a file to write; got a folder" in line


def test_a_report_is_no_device(capsys):
    assert "must be a file to write; got a device" in refused(
        ["explain", "--out", os.devnull], capsys
    )


def test_a_file_is_no_folder_for_a_report(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = refused(["explain", "--out", str(tmp_path / "file" / "report.html")], capsys)
    assert "must lie in a folder" in line


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that takes no file")
def test_a_folder_that_takes_no_file_is_named_with_the_reason(capsys):
    assert "`/proc/report.html` must be writable; got" in refused(
        ["explain", "--out", "/proc/report.html"], capsys
    )


def test_a_closed_folder_is_named_with_the_reason(tmp_path, capsys, monkeypatch):
    def closed(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    line = refused(["explain", "--out", str(tmp_path / "report.html")], capsys)
    assert "must be writable; got 'Permission denied'" in line


def test_a_link_leads_to_the_file_behind_it(tmp_path):
    (tmp_path / "real.html").write_text("")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert writable_file(tmp_path / "link.html") == tmp_path / "real.html"


def test_looking_leaves_nothing_behind(tmp_path):
    writable_file(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
