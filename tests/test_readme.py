"""The README keeps its word."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language):
    [code] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return code


def test_the_python_runs_and_prints_what_the_text_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    assert printed and f"It prints `{printed}`" in README
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_the_python_is_about_ten_lines_long():
    lines = [line for line in block("python").splitlines() if line and "import" not in line]
    assert len(lines) <= 10


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_every_make_target_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted({*re.findall(r"\]\(([^)]+)\)", README), *re.findall(r'src(?:set)?="(.*?)"', README)}),
)
def test_every_link_leads_to_a_file(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("name", ["report.png", "report-dark.png"])
def test_the_pictures_are_light(name):
    assert (ROOT / "docs/_static" / name).stat().st_size < 300_000
