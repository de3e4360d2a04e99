"""Results as dated JSON and as a table."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "results"


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """Writes `benchmarks/results/NAME.json` and prints its rows."""
    versions = {each: importlib.metadata.version(each) for each in ("torch", "timm", "vitreous")}
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "threads": torch.get_num_threads(),
        **versions,
    }
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about | {"rows": rows}, indent=2, ensure_ascii=False) + "\n")
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned text."""
    columns = list(rows[0])
    cells = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
