"""Recorded results as tables of a page."""

import html
import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown, display

LONG = 40
RESULTS = Path(__file__).parents[1] / "benchmarks/results"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def tables(name: str) -> list[list[dict[str, Any]]]:
    """The tables of `benchmarks/results/NAME.json` in their order; none before it is recorded."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return []
    return list(json.loads(path.read_text(encoding="utf-8"))["tables"].values())


def number(cell: Any) -> float:
    """The first number in a cell; what stands behind it is its spread."""
    return float(str(cell).split()[0])


def titled(title: str, rows: list[dict[str, Any]], name: str) -> str:
    """A table below its title; a long one is folded."""
    body = f"::::{{container}} result-table {name}-table\n\n{table(rows)}\n\n::::"
    if len(rows) < LONG:
        return f"**{title}**\n\n{body}"
    summary = f"<summary><strong>{html.escape(title)}</strong> ({len(rows)} rows)</summary>"
    return f'<details class="result">{summary}\n\n{body}\n\n</details>'


def show(name: str) -> None:
    """Shows `benchmarks/results/NAME.json`: its tables, and where it comes from."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        display(Markdown("*No results are recorded yet.*"))
        return
    result = json.loads(path.read_text(encoding="utf-8"))
    for title, rows in result.pop("tables").items():
        if rows:
            display(Markdown(titled(title, rows, name)))
    display(Markdown("*" + ", ".join(f"{key}: {value}" for key, value in result.items()) + "*"))
