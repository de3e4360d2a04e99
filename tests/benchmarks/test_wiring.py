"""What is measured can be measured again with one command, and is shown."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
PAGES = "".join(
    path.read_text(encoding="utf-8")
    for path in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "docs/conf.py")
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_a_make_target_and_a_place_in_the_documentation(script):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^\t\$\(BIN\)/python -m benchmarks\.{script}$", makefile, re.MULTILINE)
    code = (ROOT / f"benchmarks/{script}.py").read_text(encoding="utf-8")
    assert re.search(rf'write\(\s*"{script}"', code)
    assert script == "coverage" or f'show("{script}")' in PAGES


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/results").glob("*.json")), ids=str)
def test_every_recorded_result_has_a_script_and_rows_of_one_shape(path):
    assert path.stem in SCRIPTS
    for rows in json.loads(path.read_text(encoding="utf-8"))["tables"].values():
        assert len({tuple(row) for row in rows}) <= 1
