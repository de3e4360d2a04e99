"""Recorded results as tables of a page."""

import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown, display

RESULTS = Path(__file__).parents[1] / "benchmarks/results"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def tables(name: str) -> list[list[dict[str, Any]]]:
    """The tables of `benchmarks/results/NAME.json` in their order, for what a page claims of them."""
    text = (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    return list(json.loads(text)["tables"].values())


def number(cell: Any) -> float:
    """The first number in a cell; what stands behind it is its spread."""
    return float(str(cell).split()[0])


def show(name: str) -> None:
    """Shows `benchmarks/results/NAME.json`: its tables, and where it comes from."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        display(Markdown("*No results are recorded yet.*"))
        return
    result = json.loads(path.read_text(encoding="utf-8"))
    for title, rows in result.pop("tables").items():
        if rows:
            text = f"**{title}**\n\n::::{{container}} {name}-table\n\n{table(rows)}\n\n::::"
            display(Markdown(text))
    display(Markdown("*" + ", ".join(f"{key}: {value}" for key, value in result.items()) + "*"))
