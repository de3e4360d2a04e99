"""Results as dated JSON and as tables."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "results"

Rows = list[dict[str, Any]]


def write(name: str, tables: dict[str, Rows], packages: Sequence[str] = ("timm",)) -> None:
    """Writes `benchmarks/results/NAME.json`, with the rows of each table by its title.

    The versions of `packages` stand in it.
    """
    packages = ("torch", *packages, "vitreous")
    versions = {each: importlib.metadata.version(each) for each in packages}
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "threads": torch.get_num_threads(),
        **versions,
    }
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(about | {"tables": tables}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    show(tables)


def show(tables: dict[str, Rows]) -> None:
    """Prints tables below their titles."""
    print("\n\n".join(f"{title}\n{table(rows)}" for title, rows in tables.items()))


def table(rows: Rows) -> str:
    """Rows as aligned text."""
    columns = list(rows[0]) if rows else []
    cells = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
