"""The reference has a page for every package, in the order of the floors."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"


def packages() -> set[str]:
    folders = {path.parent.name for path in (ROOT / "src/vitreous").glob("*/__init__.py")}
    return folders - {"app"}  # the command line has its own help


def test_every_package_has_a_page():
    assert {path.stem for path in REFERENCE.glob("*.md")} - {"index"} == packages()


def test_the_index_lists_every_page():
    index = (REFERENCE / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)$", index, flags=re.MULTILINE)) == packages()
