"""Contact sheets and exports of the terrarium."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from vitreous._claim import Claim, is_remains, remove_remains
from vitreous._optional import needs
from vitreous._whole import written_whole
from vitreous.app._exit import Resumable
from vitreous.terrarium import TASKS, WORLD, Rendering, Scene, Task, contact_sheet, render

_PLAN = "export.json"
_COMMAND = "vitreous terrarium export"
_NOBODY, _WORDS = 255, 254


def write_sheet(name: str, split: str | None, count: int, seed: int, size: int, file: Path) -> None:
    """Writes a contact sheet of the first items."""
    task = _task(name, split, count, seed, size)
    sheet = contact_sheet(task, count)
    with written_whole(file) as beside:
        sheet.save(beside, format="PNG")


def write_items(
    name: str, split: str | None, count: int, seed: int, size: int, folder: Path
) -> tuple[int, int]:
    """Writes items as an image folder, masks and a table; goes on where an earlier one stopped.

    A mask is a gray PNG: an object's number, 254 for words, 255 for the background.

    Returns:
        How many items were written, and how many were there already.

    Raises:
        OSError: Something else is in the folder, or another process writes there.
        MissingDependencyError: pyarrow isn't installed.
        ValueError: The folder has more items already.
    """
    needs("pyarrow.parquet", extra="survey", feature=_COMMAND)  # before any work
    task = _task(name, split, count, seed, size)
    plan = {"world": WORLD, "task": name, "split": task.split, "seed": seed, "size": size}
    folder = folder.resolve()
    with Claim(folder):
        _begin(folder, plan, count)
        try:
            rows, made = _write_all(task, count, folder)
        except KeyboardInterrupt as interrupt:
            raise Resumable("Interrupted; the same command goes on from there.") from interrupt
        _write_table(rows, folder / "factors.parquet")
    return made, count - made


def _write_table(rows: list[dict[str, Any]], file: Path) -> None:
    table = needs("pyarrow", extra="survey", feature=_COMMAND).table(
        {column: [row.get(column) for row in rows] for column in _columns(rows)}
    )
    with written_whole(file) as beside:
        needs("pyarrow.parquet", extra="survey", feature=_COMMAND).write_table(table, beside)


def _write_all(task: Task, count: int, folder: Path) -> tuple[list[dict[str, Any]], int]:
    rows, made = [], 0
    for index in tqdm(range(count), unit="item", desc=task.name, leave=False):
        scene = task.scene(index)
        files = _files(task, scene, index)
        rows.append(_row(task, scene, index, files))
        if not all(_is_whole(folder / file) for pair in files for file in pair):
            _write_item(task, scene, folder, files)
            made += 1
    return rows, made


def _task(name: str, split: str | None, count: int, seed: int, size: int) -> Task:
    splits = TASKS[name].splits if name in TASKS else {}
    task = Task(name, split or ("test" if "test" in splits else next(iter(splits), "test")),
                seed=seed, size=size)  # fmt: skip
    if count > len(task):
        raise ValueError(
            f"`--n` must be at most the {len(task)} items of split '{task.split}'; got {count}. "
            "Take fewer, or another split."
        )
    return task


def _begin(folder: Path, plan: dict[str, Any], count: int) -> None:
    """Writes the plan of an export; or goes on with one of the same items."""
    there = [path for path in folder.iterdir() if not is_remains(path)]
    found = _read_plan(folder / _PLAN)
    if there and found != plan:
        raise OSError(
            f"`{folder}` must be new, empty or an export of the same items; "
            f"got {_said(found)}. Choose another path."
        )
    has = max((int(file.name[:7]) + 1 for file in folder.glob(f"masks/{'[0-9]' * 7}*")), default=0)
    if has > count:
        raise ValueError(
            f"`--n` must be at least the {has} items that `{folder}` has already; got {count}. "
            "Take as many, or another folder."
        )
    remove_remains(folder)
    if not there:
        with written_whole(folder / _PLAN) as beside:
            beside.write_text(json.dumps(plan) + "\n", encoding="utf-8")


def _read_plan(file: Path) -> dict[str, Any] | None:
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) else None


def _is_whole(file: Path) -> bool:
    """Whether a PNG is there with its end."""
    end = b"IEND\xaeB`\x82"
    if not file.is_file() or file.stat().st_size < len(end):
        return False
    with file.open("rb") as opened:
        opened.seek(-len(end), os.SEEK_END)
        return opened.read() == end


def _said(plan: dict[str, Any] | None) -> str:
    if plan is None:
        return "something else in it"
    return "one of " + ", ".join(f"{name} {value}" for name, value in plan.items())


def _files(task: Task, scene: Scene, index: int) -> list[tuple[str, str]]:
    """Picture and mask of every frame, below the export's folder."""
    label = task.label(scene)
    place = f"images/{task.class_names[label]}" if isinstance(label, int) else "images"
    names = [f"{index:07d}"]
    if scene.frames > 1:
        names = [f"{index:07d}-{frame}" for frame in range(scene.frames)]
    return [(f"{place}/{name}.png", f"masks/{name}.png") for name in names]


def _row(task: Task, scene: Scene, index: int, files: list[tuple[str, str]]) -> dict[str, Any]:
    made = render(scene, 8)  # its factors and caption don't hang on the size
    label = task.label(scene)
    return {
        "index": index,
        "image": files[0][0],
        "mask": files[0][1],
        "label": label if isinstance(label, int) else None,
        "caption": made.caption,
        **made.factors,
        "scene": json.dumps(scene.to_json()),
    }


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _write_item(task: Task, scene: Scene, folder: Path, files: list[tuple[str, str]]) -> None:
    for frame, (picture, mask) in enumerate(files):
        made = render(scene, task.size, frame=frame)
        _write_picture(folder / mask, _numbered(made))
        _write_picture(folder / picture, made.image)


def _numbered(made: Rendering) -> np.ndarray:
    owners = made.label_map
    return np.where(owners >= 0, owners, np.where(owners == -1, _NOBODY, _WORDS)).astype(np.uint8)


def _write_picture(file: Path, picture: np.ndarray) -> None:
    os.makedirs(file.parent, exist_ok=True)
    with written_whole(file) as beside:
        Image.fromarray(np.ascontiguousarray(picture)).save(beside, format="PNG")
